"""Risk as it really was (history.md): exposure over time by two lenses, in exact integers until the very end.

`scores` makes step functions of score facts. `accumulate` adds up a fleet in one pass, in columns: `spans` are
intervals of many machines, `held` what was on them, `tally` the sums, `summing` and `survival` what comes of these.
`moment` looks at one instant and `explain` at one machine, both by `known`, which says the same of a single machine.
"""
