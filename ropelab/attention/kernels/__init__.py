"""Kernels, which evaluate the formula: dense, blockwise and fused ones.

Import them from their modules; `ropelab.attention.registry` lists them by name.
"""
