"""Which keys a query sees, from the papers' own words, one pair at a time in plain Python: n(i, j, head, heads)."""


def causal(i, j, head, heads):
    return int(j <= i)


def bidirectional(i, j, head, heads):
    return 1


def sliding_window(i, j, head, heads, *, window):
    return int(i - window < j <= i)


def sinks(i, j, head, heads, *, sinks, window):
    return int(j <= i and (j < sinks or i - window < j))


def lambda_mask(i, j, head, heads, *, starting, local):
    return int(j <= i and (j < starting or i - j < local))


def blockwise_causal(i, j, head, heads, *, block):
    """Queries of each half block against the half block before and their own (torchscale's two chunks)."""
    mine = i // (block // 2)
    return int(j <= i and j // (block // 2) in (mine - 1, mine))


def grouped(i, j, head, heads, *, group, shift=0):
    """Borders between tokens t - 1 and t wherever t + shift divides by the group."""
    borders = [t for t in range(1, i + 1) if (t + shift) % group == 0]
    return int(j <= i and all(not j < border <= i for border in borders))


def shifted_sparse(i, j, head, heads, *, group):
    return grouped(i, j, head, heads, group=group, shift=0 if head < heads // 2 else group // 2)


def dilated(i, j, head, heads, *, segments, rates, head_offset="mod", mix_gradient=True):
    """Each segment's tokens o, o + r, o + 2r, ... are attention of their own (LongNet's equations 4 to 7)."""
    count = 0
    for w, r in zip(segments, rates, strict=True):
        offset = head % r if head_offset == "mod" else head // -(-heads // r)
        kept = list(range(i // w * w, i // w * w + w))[offset::r]
        count += i in kept and j in kept and j <= i
    return count


def fixed_sparse(i, j, head, heads, *, block, summary, heads_of="split", distinct=False):
    """Sparse Transformer, section 4.3: A1 is the own block, A2 the columns; or both for every head."""
    turn = (head // 2 if heads_of == "split" else head) % (block // summary) if distinct else 0
    columns = [block - 1 - turn * summary - n for n in range(summary)]
    own, column = j // block == i // block, j % block in columns
    if j > i:
        return 0
    if heads_of == "merged":
        return int(own or column)
    return int(own if head % 2 == 0 else column or j == i)


RULES = {
    "Causal": causal,
    "Bidirectional": bidirectional,
    "SlidingWindow": sliding_window,
    "Sinks": sinks,
    "LambdaMask": lambda_mask,
    "BlockwiseCausal": blockwise_causal,
    "Grouped": grouped,
    "ShiftedSparse": shifted_sparse,
    "Dilated": dilated,
    "FixedSparse": fixed_sparse,
}
