"""Byte-pair merges learnt on top of those that a tokenizer has.

Tokens of a second tokenizer, appended to the first, are often never reached: the first one's merges come earlier and
cut the text otherwise. Here the text is cut by the old tokenizer first and merges are counted over its tokens, so
each new token is made of old ones by merges that stand behind all the old merges (continued BPE training, arXiv
2512.03989). The counting is the trainer's of `tokenizers`: each old token becomes one character.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from cptlab.data.tokenizer import Tokenizer, batched
from cptlab.errors import UserError
from cptlab.vocabulary.building.old import token_names
from cptlab.vocabulary.building.surface import BYTE, METASPACE, is_byte_level

FIRST = 0x10000  # code points from here on are no white space: 1,048,576 of them
BATCH_CHARS = 500_000


@dataclass(frozen=True)
class Learnt:
    """New tokens in the order in which they were learnt, and the merges that make them."""

    tokens: list[str]
    merges: list[tuple[str, str]]


def learn(tokenizer: Tokenizer, texts: list[str], count: int, min_frequency: int) -> Learnt:
    """At most `count` tokens; fewer where the text has no more pairs that come `min_frequency` times."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers, trainers

    names = token_names(tokenizer)
    known = set(names.values())
    codes: dict[int, str] = {}
    lines = [
        " ".join("".join(codes.setdefault(i, chr(FIRST + len(codes))) for i in word) for word in words)
        for words in cut_words(tokenizer, texts)
    ]
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # type: ignore[assignment]
    spare = count // 10 + 8  # two pairs can make one token
    trainer = trainers.BpeTrainer(
        vocab_size=len(codes) + count + spare, min_frequency=min_frequency, special_tokens=[], show_progress=False
    )
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    backend.train_from_iterator(lines, trainer)
    back = {code: names[index] for index, code in codes.items()}
    found = Learnt([], [])
    for left, right in json.loads(backend.to_str())["model"]["merges"]:
        pair = "".join(back[c] for c in left), "".join(back[c] for c in right)
        token = "".join(pair)
        if token not in known:
            if len(found.tokens) == count:
                break
            found.tokens.append(token)
            known.add(token)
        found.merges.append(pair)
    return found


def cut_words(tokenizer: Tokenizer, texts: list[str]) -> Iterator[list[list[int]]]:
    """For each text its words as ids; nothing is merged across words, added tokens or fallback bytes."""
    spec = json.loads(tokenizer.backend.to_str())
    level, names = is_byte_level(spec), token_names(tokenizer)
    alone = set(tokenizer.backend.get_added_tokens_decoder())
    if not level:
        alone |= {index for index, name in names.items() if BYTE.fullmatch(name)}
    letters = {index: name.strip(METASPACE).isalpha() for index, name in names.items()}
    spaces = {index for index, name in names.items() if not name.strip(METASPACE)}
    starts = {index for index, name in names.items() if not level and name.startswith(METASPACE)}
    tokenizer.backend.encode_special_tokens = True
    tokenizer.backend.no_truncation()
    for batch in batched(texts, BATCH_CHARS):
        for encoding in tokenizer.backend.encode_batch(batch, add_special_tokens=False):
            words: list[list[int]] = []
            before, last = None, None
            for index, word in zip(encoding.ids, encoding.word_ids, strict=True):
                if index in alone:
                    before = last = None
                    continue
                # A sentencepiece tokenizer has one "word" a text: it ends at spaces and where letters do.
                turns = last is not None and last not in spaces and letters[index] != letters[last]
                breaks = not level and (index in starts or turns)
                if before is None or word != before or breaks:
                    words.append([])
                words[-1].append(index)
                before, last = word, index
            yield words


def missing_characters(tokenizer: Tokenizer, texts: list[str], count: int, min_frequency: int) -> list[str]:
    """Characters of the text that fall back to bytes, the most frequent first; [] for a byte-level tokenizer."""
    spec = json.loads(tokenizer.backend.to_str())
    if is_byte_level(spec) or not spec["model"].get("byte_fallback"):
        return []
    seen: Counter[str] = Counter()
    for text in texts:
        seen.update(text)
    vocab = spec["model"]["vocab"]
    wanted = [c for c, n in seen.items() if n >= min_frequency and c not in vocab and not c.isspace()]
    return sorted(wanted, key=lambda c: (-seen[c], c))[:count]


def refuse_other_models(spec: dict, what: str, mend: str) -> None:
    """UserError unless the tokenizer is a plain BPE."""
    model = spec["model"]
    if model["type"] != "BPE" or model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        raise UserError(f"{what} needs a tokenizer of byte-pair merges and the base's is {model['type']}; {mend}")
