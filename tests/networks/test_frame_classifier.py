"""The classifier: what its logits are, and what they do not depend on."""

import pytest
import torch

from hoomd_gala.networks import CoreConfig, FrameClassifier

CORE = CoreConfig(width=12, hidden=10, blocks=1, tied=True)


def network(**options):
    torch.manual_seed(2)
    return FrameClassifier(CORE, 4, **options).double()


@pytest.mark.parametrize("disordered", [0, 2, 3])
def test_order_is_a_question_of_its_own(disordered):
    net = network(disordered=disordered)
    hidden = 5 * torch.randn(50, CORE.hidden).double()
    logits, outputs = net.logits(hidden), net.classify[-1](hidden)
    chances = logits.exp()
    torch.testing.assert_close(chances.sum(-1), torch.ones(50).double())
    torch.testing.assert_close(chances[:, disordered], outputs[:, disordered].sigmoid())
    # which structure it is, if it has order, does not depend on whether it has
    others = [i for i in range(4) if i != disordered]
    shares = chances[:, others] / chances[:, others].sum(-1, keepdim=True)
    torch.testing.assert_close(shares, outputs[:, others].softmax(-1))


def test_logits_of_certainty_are_finite_and_so_are_gradients():
    net = network(disordered=1).float()
    hidden = (200 * torch.randn(50, CORE.hidden)).requires_grad_()
    with torch.no_grad():
        net.classify[-1].weight.mul_(10)
    logits = net.logits(hidden)
    logits.exp().sum().backward()
    assert logits.isfinite().all()
    assert hidden.grad.isfinite().all()


def test_two_rings_are_the_means_over_neighbors():
    net = network(context=6, rings=2)
    embedding = torch.randn(30, CORE.width).double()
    neighbors = torch.randint(30, (30, 5))
    inner, outer = net.surround(embedding, neighbors)
    assert inner.shape == outer.shape == (30, 6)
    for i in range(30):
        own, near = net.wider.own(inner[i]), [net.wider.other(inner[j]) for j in neighbors[i]]
        expected = sum(torch.relu(own + other) for other in near) / 5
        torch.testing.assert_close(outer[i], expected)


def test_logits_depend_neither_on_orientation_nor_on_order():
    net = network(context=6, rings=2, disordered=2)
    bonds, neighbors = 0.5 * torch.randn(40, 20, 3).double(), torch.randint(40, (40, 20))
    types = torch.zeros(40, 20, 2).double()
    turn = torch.linalg.qr(torch.randn(3, 3).double())[0]
    turn = turn * torch.linalg.det(turn)
    shuffled = torch.stack([torch.randperm(20) for _ in range(40)])

    def logits(bonds, neighbors):
        embedding = net.embed(bonds, types)
        return net.name(embedding, *net.surround(embedding, neighbors))

    expected = logits(bonds, neighbors)
    assert expected.std(0).min() > 1e-4
    others = bonds.gather(1, shuffled[..., None].expand(-1, -1, 3)) @ turn.T
    torch.testing.assert_close(logits(others, neighbors.gather(1, shuffled)), expected)
