"""Floor 0: how an operator is declared: the schema grammar, argument binding, type promotion, the kinds of blocks and their registry."""
