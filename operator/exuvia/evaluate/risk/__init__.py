"""Risk as it really was (history.md): exposure over time by two lenses, in exact integers until the very end.

`scores` makes step functions of score facts, `known` the intervals in which something was so, `accumulate` adds it up
over a fleet in one pass, `moment` looks at one instant, `explain` at one machine.
"""
