"""The bytes that a token stands for, whatever alphabet its tokenizer writes them in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache

from cptlab.data.tokenizer import Tokenizer
from cptlab.vocabulary.building.old import token_names

BYTE = re.compile(r"<0x([0-9A-F]{2})>")
METASPACE = "▁"


@cache
def byte_alphabet() -> dict[str, int]:
    """{character: byte} of byte-level tokenizers: printable Latin-1 as it is, the others from U+0100 on (GPT-2)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + i): byte for i, byte in enumerate(others)}


def is_byte_level(spec: dict) -> bool:
    """Whether a tokenizer.json writes bytes as characters."""
    return "ByteLevel" in json.dumps([spec.get("pre_tokenizer"), spec.get("decoder")])


def token_surface(token: str, byte_level: bool) -> bytes:
    """Bytes of a token of a model's vocabulary; a special token has its name's, which no text of its own ever has."""
    if byte_level and all(character in byte_alphabet() for character in token):
        return bytes(byte_alphabet()[character] for character in token)
    if match := BYTE.fullmatch(token):
        return bytes([int(match[1], 16)])
    return token.replace(METASPACE, " ").encode()


def surfaces(tokenizer: Tokenizer) -> dict[int, bytes]:
    """{id: bytes}; added tokens stand for their content."""
    spec = json.loads(tokenizer.backend.to_str())
    level = is_byte_level(spec)
    added = tokenizer.backend.get_added_tokens_decoder()
    return {
        index: added[index].content.encode() if index in added else token_surface(token, level)
        for index, token in token_names(tokenizer).items()
    }


def cutter(tokenizer: Tokenizer) -> Callable[[bytes], list[int]]:
    """A function from bytes to the ids that the tokenizer's model alone cuts them into.

    Its normaliser and pre-tokeniser stay out: they would put a space before the inside of a word.
    """
    spec = json.loads(tokenizer.backend.to_str())
    level, model = is_byte_level(spec), tokenizer.backend.model
    characters = {byte: character for character, byte in byte_alphabet().items()}

    def single_bytes(surface: bytes) -> list[int]:
        found = (tokenizer.backend.token_to_id(f"<0x{byte:02X}>") for byte in surface)
        return [index for index in found if index is not None]

    def cut(surface: bytes) -> list[int]:
        if level:
            return [token.id for token in model.tokenize("".join(characters[byte] for byte in surface))]
        try:
            text = surface.decode()
        except UnicodeDecodeError:
            return single_bytes(surface)
        return [token.id for token in model.tokenize(text.replace(" ", METASPACE))]

    return cut
