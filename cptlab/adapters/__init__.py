"""Adapters: few trainable weights beside a base that stays as it is."""
