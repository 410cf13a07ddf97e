"""Studies: what is wrong in a file is said with its line or key, and no job is made of it."""

import re
import time

import pytest
import signac
from study.flow import schema, studies
from study.operations import plan
from study.operations.points import check_job

from hoomd_gala.errors import InputError

SMOKE = (studies.FOLDER / "smoke.toml").read_text()
SCAN = (studies.FOLDER / "scan-smoke.toml").read_text()
PAPER = (studies.FOLDER / "paper-smoke.toml").read_text()
QUALITY = (studies.FOLDER / "quality-smoke.toml").read_text()


def refusal(tmp_path, content):
    """The message about a file."""
    path = tmp_path / "mine.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    started = time.process_time()
    with pytest.raises(InputError) as caught:
        studies.points_of(path, check_job)
    assert time.process_time() - started < 2
    message = str(caught.value)
    assert message.startswith(str(path))
    assert len(message) < 500 + len(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path))


@pytest.mark.parametrize("name", studies.names())
def test_studies_that_are_shipped_are_right(name):
    points = studies.state_points(name, check_job)
    assert {point["kind"] for point in points} <= set(schema.KINDS)
    assert all(point["study"] == name for point in points)


@pytest.mark.parametrize("name", studies.names())
def test_every_job_of_a_shipped_study_has_a_description(name, tmp_path):
    project = signac.init_project(tmp_path)
    jobs = [project.open_job(point).init() for point in studies.state_points(name, check_job)]
    told = [(job.sp.kind, plan.describe(job)) for job in jobs]
    assert all(words.strip() for _, words in told)
    # a run says which of them it is at
    assert len(set(told)) == len(told)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("phi = 0.62", "phi = inf", "systems[0].phi: not a finite number"),
        ("phi = 0.62", "phi = nan", "systems[0].phi: not a finite number"),
        ("phi = 0.62", 'phi = "0.62"', "systems[0]: phi: expected float, got str"),
        ("phi = 0.62", "phi = 1e300", "systems[0]: phi: expected float <= 1000.0"),
        ("phi = 0.62", "phi = 1979-05-27", "systems[0].phi: a date, where text or a number"),
        ("phi = 0.62", "phi = 0.62 kT", "Expected newline or end of document after a statement"),
        ("phi = 0.62", "", "systems[0]: object missing required field phi"),
        ("phi = 0.62", "psi = 0.62", "systems[0]: object missing required field phi"),
        ("phi = 0.62", "phi = 0.62\npsi = 1", "systems[0]: object contains unknown field psi"),
        ("phi = 0.62", "phi = 0.62\nkind = 'fluid'", "object contains unknown field kind"),
        ("phi = 0.62", "phi = 0.62\nk = 1", "Cannot overwrite a value (at line"),
        ("k = 6.25", "k = 0.1", "no second attractive minimum"),
        ('"opp"', '"opq"', "systems[0]: potential: 'opq' is none of 'opp', 'ljg'"),
        ('"opp"', '["opp"]', "systems[0]: potential: ['opp'] is none of"),
        ("minutes = 1", "", "object missing required field minutes"),
        ("minutes = 1", "minutes = '1'", "minutes: expected float, got str"),
        ("minutes = 1", "minutes = 1\nhours = 2", "object contains unknown field hours"),
        ("gpus = 0", "gpus = 0.5", "cluster.gpus: expected int, got float"),
        ("gpus = 0", "gpus = true", "cluster.gpus: expected int, got bool"),
        ("[cluster]", "[clutter]", "object contains unknown field clutter"),
        ("[protocol]", "[protocols]", "object contains unknown field protocols"),
        ("[fluid_protocol]", "[protocol2]", "object contains unknown field protocol2"),
        ("n_particles = 216", "n_particles = -1", "n_particles: expected int >= 1"),
        ("n_particles = 216", "n_particles = 20", "particles at number density 0.2 make a box"),
        ("n_particles = 216", f"n_particles = {'9' * 5000}", "is not a TOML file (Exceeds"),
        ("cooling_steps = 4000", "cooling_steps = 0", "cooling_steps: expected int >= 1"),
        ("dt = 0.008", "dt = 0", "dt: expected float >= 1e-09"),
        ("period = 500", "period = 100000", "no frame is written with a period of 100000"),
        ('["cF4-Cu", "cI2-W"]', "[]", "structure_model.structures: expected array of length >= 1"),
        ('["cF4-Cu", "cI2-W"]', '["cF4-Cu", 3]', "structure_model.structures[1]: expected str"),
        ("epochs = 4", "epochs = [[4]]", "structure_model.epochs: expected int, got array"),
        (
            "[structure_model]",
            "[structure_model.x]",
            "structure_model: object contains unknown",
        ),
    ],
)
def test_wrong_values_are_answered_with_their_key(old, new, reason, tmp_path):
    assert old in SMOKE
    assert reason in refusal(tmp_path, SMOKE.replace(old, new, 1))


@pytest.mark.parametrize(
    ("study", "old", "new", "reason"),
    [
        (SMOKE, "[structure_model]", "[[fluids]]", "it has systems and no structure_model"),
        (SCAN, "k = [6.0, 7.1, 1.0]", "k = [6.0, 7.1, 0.0]", "reference.k[2]: expected float >="),
        (SCAN, "k = [6.0, 7.1, 1.0]", "k = [6.0, 7e5, 0.1]", "are not start, end and step of a r"),
        (SCAN, "k = [6.0, 7.1, 1.0]", "", "a grid of potentials takes k, phi, epsilon and r0"),
        (PAPER, '"denoising", ', '"dreaming", ', "there is no task 'dreaming'"),
        (PAPER, 'learned = "cI2-W"', 'learned = "x"', "unseen: no assembly is named 'x'"),
        (PAPER, "trajectory_epochs = 2", "", "unseen: 'cI2-W' has no trajectory_epochs"),
        (PAPER, 'drawn = ["cI2-W"]', 'drawn = ["cP1-Po"]', "are to be drawn but not computed"),
        (PAPER, "n_runs = 2", "n_runs = 10000", "liquid_comparison.n_runs: expected int <= 1000"),
        (PAPER, "[[liquids]]", "[[fluids]]", "it has fluids and no fluid_protocol"),
        (PAPER, "tied = true", "tied = 1", "transfer.source: tied: expected bool, got int"),
        (QUALITY, '"displaced"', '"misplaced"', "no system is made by 'misplaced'"),
        (QUALITY, "side = 6", "side = 0", "quality_systems[1]: side: expected int >= 1"),
        (
            QUALITY,
            "side = 6",
            "sides = 6",
            "quality_systems[1]: object contains unknown",
        ),
        (QUALITY, "side = 6", "side = 6\nx = 1", "object contains unknown field x"),
        (QUALITY, '["W"]', '["Xx"]', "there is no potential 'Finnis-Sinclair' of 'Xx'"),
        (QUALITY, 'symbol = ["W"]', "symbol = [3]", "symbol: expected str, got int"),
        (QUALITY, "levels = [0.03]", "levels = [nan]", "levels[0]: not a finite number"),
    ],
)
def test_tables_that_do_not_fit_together_are_refused(study, old, new, reason, tmp_path):
    assert old in study
    assert reason in refusal(tmp_path, study.replace(old, new, 1))


def test_the_same_system_twice_is_refused(tmp_path):
    last = SMOKE[SMOKE.rindex("[[fluids]]") :]
    assert "fluids[1]: the same as fluids[0]" in refusal(tmp_path, SMOKE + last)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe", b"x = " + b"[" * 5000 + b"]" * 5000, b"a" + b".b" * 5000 + b" = 1", b"\x00",
        b"[a\n", b"a = 1\na = 2",
    ],
)  # fmt: skip
def test_what_is_no_toml_is_refused(content, tmp_path):
    assert re.match(r" is not a TOML file \(", refusal(tmp_path, content))


def test_keys_of_many_parts_take_no_memory(tmp_path):
    assert "nested too deep" in refusal(tmp_path, b"[" + b".".join([b"a"] * 400_000) + b"]")


def test_numbers_of_a_million_digits_are_not_read(tmp_path):
    assert "too many for a study" in refusal(tmp_path, b"a = " + b"1" * (1 << 20))
