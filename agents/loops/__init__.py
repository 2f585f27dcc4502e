"""Published ways of optimising with a language model, as agents beside the tool-calling one.

`opro` lets the model propose designs, `ledro` lets it narrow the ranges in which TuRBO searches,
`ado_llm` lets it take turns with Bayesian optimisation. All talk through `agents.dialogue`, so they
share its caps, its transcript and its configuration with `agents.llm`; none knows tool calling. Each
module says where it differs from its paper.
"""
