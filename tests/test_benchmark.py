"""Measuring speed: medians of rounds in which functions take turns."""

import numpy as np
import pytest
from pictures import check_colors

from hoomd_gala import benchmark
from hoomd_gala.cli import main
from hoomd_gala.files.atomic import read_table
from hoomd_gala.neighbors.environments import nearest_neighbors


def test_medians_of_rounds_and_of_their_ratios():
    now = 0.0
    # each round starts with the first function; one round is disturbed
    durations = {"first": iter([9, 1, 1, 1, 5, 1]), "second": iter([9, 2, 2, 4, 10, 2])}
    order = []

    def lasts(name):
        def function():
            nonlocal now
            now += next(durations[name])
            order.append(name)

        return function

    functions = {name: lasts(name) for name in durations}
    speeds = benchmark.take_turns(functions, "test", clock=lambda: now)
    assert speeds["first"] == (1, 1)
    assert speeds["second"] == (2, 2)
    assert order == ["first", "second"] * (1 + benchmark.ROUNDS)


def test_scipy_finds_the_neighbors_that_are_compared_with():
    system = benchmark.lattice_system(500)
    distances, _ = benchmark.scipy_neighbors(system)
    ours = np.linalg.norm(nearest_neighbors(system.positions, system.box).bonds, axis=-1)
    np.testing.assert_allclose(distances[:, 1:], ours, atol=1e-9)


def test_command(model_path, tmp_path, capsys):
    output = tmp_path / "scaling.png"
    arguments = ["--model", model_path, "--particles", 500, "--output", output]
    assert main(["bench", *map(str, arguments), "--sizes", "2000", "300"]) == 0
    out = capsys.readouterr().out
    assert "20 nearest neighbors" in out
    assert out.count(" x as long") == 1
    rows = read_table(tmp_path / "scaling.csv")
    assert [int(row["particles"]) for row in rows] == [250, 2000]
    for row in rows:
        rate = int(row["particles"]) / float(row["seconds"])
        assert float(row["particles_per_second"]) == pytest.approx(rate)
    # both measured points
    check_colors(output, ["C0"], least=8e-4)
