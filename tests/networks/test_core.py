"""The heads: what rotates with the sample, what does not, and gradients that stay finite."""

import pytest
import torch

from hoomd_gala.learning.tasks import TASKS
from hoomd_gala.networks import NETWORKS, Autoencoder, CoreConfig, make_network, nearest_frame

CORE = CoreConfig(max_types=2, width=12, hidden=10, blocks=1, tied=True)


def rotation(seed=3):
    generator = torch.Generator().manual_seed(seed)
    q, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    return q * torch.sign(torch.linalg.det(q))


def environments(n=20, clouds=5):
    generator = torch.Generator().manual_seed(1)
    bonds = 0.5 * torch.randn(clouds, n, 3, generator=generator, dtype=torch.float64)
    types = torch.randint(-1, 3, (clouds, n, 4), generator=generator)
    return bonds, types


def network(task):
    torch.manual_seed(2)
    return make_network(task, CORE, n_classes=3).double()


def outputs(net, bonds, types):
    """Everything a network returns: rotating vectors, per-bond and per-environment invariants."""
    result = net(bonds, types)
    if isinstance(net, Autoencoder):
        return {"rotate bonds": result.bonds, "keep bonds": result.mean} | {
            "keep": net.embed(bonds, types)
        }
    if isinstance(result, tuple):
        logits, embedding = result
        torch.testing.assert_close(embedding, net.embed(bonds, types))
        return {"keep": torch.cat((logits, embedding), dim=-1)}
    kind = "rotate" if result.shape[-1] == 3 else "keep"
    place = " bonds" if result.ndim == 3 else ""
    return {kind + place: result} | {"keep": net.embed(bonds, types)}


def test_every_task_has_a_network():
    # and there is one more, of several scales, that no task is learned with
    assert list(NETWORKS) == [*TASKS, "embedding"]


@pytest.mark.parametrize("task", TASKS)
def test_rotating_the_sample_rotates_vectors_and_keeps_invariants(task):
    net, (bonds, types), rotated_by = network(task), environments(), rotation()
    before, after = outputs(net, bonds, types), outputs(net, bonds @ rotated_by.T, types)
    assert before["keep"].shape == (5, before["keep"].shape[1])
    for name, value in before.items():
        expected = value @ rotated_by.T if name.startswith("rotate") else value
        torch.testing.assert_close(after[name], expected, atol=1e-8, rtol=1e-7)


@pytest.mark.parametrize("task", TASKS)
def test_permuting_the_bonds_permutes_what_belongs_to_them(task):
    net, (bonds, types) = network(task), environments()
    order = torch.randperm(20, generator=torch.Generator().manual_seed(4))
    before = outputs(net, bonds, types)
    after = outputs(net, bonds[:, order], types[:, order])
    for name, value in before.items():
        expected = value[:, order] if name.endswith("bonds") else value
        torch.testing.assert_close(after[name], expected, atol=1e-8, rtol=1e-7)


def test_orientation_is_a_frame_that_rotates_with_the_sample():
    net, (bonds, types), rotated_by = network("autoencoding"), environments(), rotation()
    axes = net.orientation(bonds, types)
    eye = torch.eye(3, dtype=torch.float64).expand(5, 3, 3)
    torch.testing.assert_close(axes @ axes.mT, eye, atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.linalg.det(axes), torch.ones(5).double(), atol=1e-4, rtol=0)
    torch.testing.assert_close(net.orientation(bonds @ rotated_by.T, types), axes @ rotated_by.T)


def test_frame_is_the_nearest_by_singular_values():
    generator = torch.Generator().manual_seed(5)
    a, b = torch.randn(2, 50, 3, generator=generator, dtype=torch.float64)
    unit = torch.stack((a / a.norm(dim=-1, keepdim=True), b / b.norm(dim=-1, keepdim=True)), -1)
    u, _, vh = torch.linalg.svd(unit, full_matrices=False)
    torch.testing.assert_close(nearest_frame(a, b)[:, :2].mT, u @ vh, atol=1e-6, rtol=0)


def degenerate():
    """Environments at which something or other is not differentiable."""
    line = torch.linspace(-1, 1, 20)[:, None] * torch.tensor([0.3, 0.4, 0.5])
    spread = torch.randn(20, 3, generator=torch.Generator().manual_seed(6))
    coincident = spread.clone()
    coincident[1] = coincident[0]
    missing = spread.clone()
    missing[3] = 0
    inverted = torch.cat((spread[:10], -spread[:10]))
    return torch.stack((line, coincident, missing, inverted, torch.zeros(20, 3)))


@pytest.mark.parametrize("task", TASKS)
def test_gradients_are_finite_for_degenerate_environments(task):
    torch.manual_seed(2)
    net = make_network(task, CORE, n_classes=3)
    bonds = degenerate().requires_grad_()
    types = torch.zeros(5, 20, 4, dtype=torch.int8)
    clean = {"bonds": bonds, "types": types, "labels": torch.tensor([0, 1, 2, 0, 1])}
    batch = TASKS[task].corrupt(clean, torch.Generator().manual_seed(7))
    batch["bonds"] = batch["bonds"] if task == "nearest-bond" else bonds
    value, _ = TASKS[task].loss(net, batch)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(bonds.grad).all()
    for name, parameter in net.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name


def test_collinear_bonds_leave_axes_undetermined_and_zero():
    along = torch.tensor([[0.0, 0.0, 2.0]])
    torch.testing.assert_close(nearest_frame(along, along)[:, 2], torch.zeros(1, 3))
    assert (nearest_frame(0 * along, 0 * along) == 0).all()
