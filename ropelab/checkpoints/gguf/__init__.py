"""GGUF files of llama.cpp. Reading them needs the package gguf, so nothing is imported here."""

__all__ = []
