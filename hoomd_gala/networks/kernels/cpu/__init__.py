"""Kernels for the CPU, compiled by numba: what lies where in memory.

======================  ==========================================================================
:mod:`.simd`            vector registers: load, store, arithmetic
:mod:`.fma`             matrix products in vector registers, by fused multiply-adds
:mod:`.amx`             the same functions on matrix units
:mod:`.passes`          the passes over pairs and whole embeddings, built of these
:mod:`.pair_sums`       the passes as a differentiable function of tensors
:mod:`.embed`           the weights of a network as :func:`.passes.embed` takes them
======================  ==========================================================================

Letters are those of :mod:`.passes`: B clouds of n points with vectors r (3 numbers) and values v
(width numbers); h hidden units of V; heads·H hidden units of the heads.

**Lanes.** A vector register has :data:`.simd.LANES` floats, 16 with AVX-512 and 8 without. Clouds
are worked on in blocks of as many, one to a lane. Number k of point j of the cloud in a lane is at
::

    packed[k, j * LANES + lane]          (rows, P)

so that a register holds the same number of the same point for all clouds of a block, a sum over j
is a sum of registers, and nothing depends on whether n is a multiple of anything. ``_pack``
transposes an array (B, n, rows) into this order and ``_unpack`` back; lanes of a last block that
have no cloud are zero.

**Padding.** P, the width of a row, is n·LANES rounded up to four registers, because products work
on four registers at once (``padded``). What is beyond n·LANES is computed but never added up: sums
over j stop at ``size = n * LANES``. Hidden units are padded with zeros before they get here: h to a
multiple of 4 and H to one of 16, the rows of a tile. A padded unit is relu(0) = 0.

**Vectors.** ``r`` is (4, P): a row of ones, then x, y and z, so that the sums of α and of α r_j are
four sums of one kind. ``norms`` is (P,), and ``q``, (2, P), are the scalar part and the norm of the
bivector of the pairs whose first member is i, of which a pass over i keeps nothing else.

**Hidden units of the heads.** ``other`` (heads·H, P) is u' of the second members and is what the
product of M with the hidden units of V is added to. Of the first members ``low`` (heads·H, P) is
kept, which is -u: relu(x + u) = max(x, -u) + u. Only the maximum is taken for each pair; the sum of
L·u is a ``constant`` (heads, P) of each first member, from which its outputs start.

**Products.** ``pack_weights`` brings (R, K) weights into the order in which ``product`` reads them
and ``operand`` and ``put`` do so for the other factor. ``product`` makes :data:`.passes.TILE` rows
of four registers.

*Vector registers* (``TILE`` = 4): weights are (R/4, K, 4), the four weights that act on one row of
the operand next to each other; the operand is (K, P) as above. Sixteen sums stay in registers.

*Matrix units* (``TILE`` = 16): tiles are 16 rows of 64 bytes. A float32 x is the sum of two
bfloat16, ``high`` and ``low``, and the product of two is three products: high·high, high·low and
low·high. The 32 bits of a lane hold rows k and k + 1 of an operand, which has K/2 high rows and
then K/2 low ones, padded together to whole tiles. Weights are (R/16, tiles, 16, 16) with two
bfloat16 in 32 bits: first the high parts twice, for the high and the low rows, then the low parts,
for the high rows. Of the eight tiles, 0 to 3 hold sums, 4 and 5 weights, 6 and 7 the operand. Tiles
are configured for a thread by ``begin`` and released by ``end``.

**What the forward pass keeps for the backward pass.** The inputs; ``scores`` (blocks, n, heads, P),
the outputs of the heads for every pair, in lanes as above; and ``sums`` (B, n, …), whose first
number is the logarithm of the softmax's denominator. So a weight is exp(score - log sum), and
everything else that belongs to a pair is computed again.

**What the backward pass adds up.** Gradients of members are packed like the members and unpacked at
the end of a block. Gradients of the weights are kept for each lane (``first_lanes``,
``last_lanes``) or, for M, as ``outer`` has them, over all blocks of a thread, and are summed at the
end. The factor L of the gradients of hidden units is common to all pairs and multiplied last. Which
hidden units are active is kept as zeros and ones (``masks``): bfloat16 has these exactly, so that
products with them need one tile for the high parts and none for the low ones.

**Threads** take consecutive blocks and write to different clouds; each has gradients of the weights
of its own, which are added in the order of the threads.
"""
