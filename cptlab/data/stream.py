"""The token stream: which row of which corpus stands where, for every step of a run."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cptlab.data.best_fit import BestFitRows, concat_report
from cptlab.data.block_order import BlockOrder
from cptlab.data.buffer_counts import BufferCounts
from cptlab.data.draw import Draw
from cptlab.data.earlier import Earlier, split_locate
from cptlab.data.epochs import check_ahead, check_buffer, limit_epochs
from cptlab.data.packing import Batch
from cptlab.data.plan import Plan
from cptlab.data.refusals import check_tokenizers, refuse_source
from cptlab.data.rows import ConcatRows, Rows, drawn_tokens, evaluation_batch, gather, num_rows, read_batch
from cptlab.data.tokens import Corpus
from cptlab.mixtures.base import CorpusFacts, Mixture
from cptlab.replay.base import Replay

__all__ = ["TokenStream", "evaluation_batch", "gather", "num_rows"]
Index = NDArray[np.int64]
LOOKUPS = 1 << 16  # look-ups of one pass: what belongs to them stays in the cache


class TokenStream:
    """Global batches of a run, a pure function of (seed, step) and of what was planned.

    A row is "fresh" if the mixture draws it; fresh rows are numbered through the run, so that `locate` finds any
    of them again. Replay draws from a named corpus, in that corpus' own running order, or from fresh rows already
    seen. A mixture that learns is planned a segment at a time with `extend`; what is planned never changes.

    corpora: the training split of each corpus, in the order of Batch.corpus. earlier: the stages that this one goes on
    from, whose rows come before its own in the running order of each corpus and in a buffer.
    """

    def __init__(
        self, corpora: Mapping[str, Corpus], mixture: Mixture, replay: Replay, *, general: str,
        steps: int, rows_per_step: int, sequence_length: int, eos_id: int, seed: int, vocab_size: int | None = None,
        max_epochs: float | None = None, on_max_epochs: str = "error", packing: str = "concat",
        earlier: Earlier | None = None,
    ) -> None:  # fmt: skip
        self.names, self.corpora = list(corpora), list(corpora.values())
        check_tokenizers(self.corpora)
        self.steps, self.rows_per_step, self.sequence_length = steps, rows_per_step, sequence_length
        self.eos_id, self.vocab_size, self.seed, self.replay = eos_id, vocab_size, seed, replay
        self.max_epochs, self.on_max_epochs = max_epochs, on_max_epochs
        cut = [
            ConcatRows(corpus, sequence_length) if packing == "concat" else BestFitRows(corpus, sequence_length, eos_id)
            for corpus in self.corpora
        ]
        self.rows: list[Rows] = list(cut)
        facts = {n: CorpusFacts(r.corpus.num_tokens, len(r), r.tokens) for n, r in zip(self.names, cut, strict=True)}
        mixture.prepare(facts, steps * rows_per_step)
        sets = mixture.row_sets(self.names, general)
        self.earlier, self.first_step = earlier, earlier.steps if earlier else 0
        self.seen_before = earlier.rows if earlier and earlier.in_buffer else 0  # fresh rows in the buffer at the start
        draws = [Draw(seed, i, len(r), sets.get(n)) for i, (n, r) in enumerate(zip(self.names, cut, strict=True))]
        self.draws = [replace(draw, start=earlier.start(draw)) for draw in draws] if earlier else draws
        self.replay_source = "" if replay.from_buffer else replay.corpus or general
        source = self.names.index(self.replay_source) if self.replay_source in corpora else -1
        self.table = Plan(self.rows, self.draws, rows_per_step, sequence_length, source)
        self._order = BlockOrder(self)
        self._buffer = BufferCounts(self)

    @classmethod
    def plan(
        cls, corpora: Mapping[str, Corpus], mixture: Mixture, replay: Replay, *, general: str, steps: int, **rest: Any
    ) -> "TokenStream":  # fmt: skip
        """Plan all steps among mixture and replay; the clock u is that after the batch's tokens."""
        stream = cls(corpora, mixture, replay, general=general, steps=steps, **rest)
        planned = min(mixture.planned_at_start(steps), replay.planned_at_start(steps))
        if planned < steps and stream.max_epochs is not None:
            check_ahead(stream, mixture, general)
        u = (np.arange(planned) + 1.0) / steps
        stream.extend(mixture.weights(u, stream.names, general), replay.share(u))
        return stream

    def extend(self, weights: NDArray[np.float64], replay_share: NDArray[np.float64]) -> None:
        """Plan the next k steps. weights: (k, num_corpora), rows sum to 1; replay_share: (k,) off the top."""
        if self.planned_steps + len(weights) > self.steps:
            raise ValueError(f"{self.planned_steps} + {len(weights)} steps planned of {self.steps}")
        share = np.array(replay_share, dtype=np.float64)
        source = self.table.replay_corpus
        if share.any() and not self.replay.from_buffer and source < 0:
            refuse_source(self.replay_source, self.names)
        if self.replay.from_buffer and not (self.planned_steps or self.seen_before) and len(share):
            share[0] = 0.0  # nothing is seen yet
        planned = np.empty((len(weights), len(self.names) + 1))
        planned[:, -1] = share
        np.multiply(weights, 1 - share[:, None], out=planned[:, :-1])
        if self.max_epochs is not None:
            named = np.zeros_like(weights)
            if source >= 0:
                named[:, source] = share
            planned[:, :-1] = limit_epochs(
                planned[:, :-1], named, self.names, [draw.size for draw in self.draws],
                self.table.drawn(self.planned_steps), self.rows_per_step, self.max_epochs, self.on_max_epochs,
            )  # fmt: skip
        self.table.extend(planned)
        if self.max_epochs is not None and self.replay.from_buffer:
            check_buffer(self)

    @property
    def planned_steps(self) -> int:
        """Steps whose batches are known."""
        return self.table.steps

    @property
    def tokens_per_step(self) -> int:
        """Places for tokens in a global batch; without padding, its tokens."""
        return self.rows_per_step * self.sequence_length

    def fresh_before(self, step: int) -> int:
        """Rows that the mixture drew before `step`."""
        return self.table.fresh_before(step)

    def locate(self, index: Index) -> tuple[Index, Index, Index]:
        """Global numbers of fresh rows (n,) -> corpus (n,), row in the corpus (n,), epoch (n,)."""
        found = np.empty((3, len(index)), dtype=np.int64)
        for start in range(0, len(index), LOOKUPS):
            part = np.asarray(index[start : start + LOOKUPS], dtype=np.int64)
            # In rising order the epochs of a corpus follow one another, and neighbours lie in one place of the plan.
            # Number and place sorted as one integer: several times as fast as argsort.
            both = np.sort((part << 16) | np.arange(len(part)))
            order = both & 0xFFFF
            corpus, running = self.table.running(both >> 16)
            by_corpus = np.argsort(corpus.astype(np.min_scalar_type(len(self.names))), kind="stable")
            ends = np.cumsum(np.bincount(corpus, minlength=len(self.names)))
            for draw, first, end in zip(self.draws, [0, *ends[:-1].tolist()], ends.tolist(), strict=True):
                here = by_corpus[first:end]
                at = start + order[here]
                found[0, at] = draw.corpus
                found[1, at], found[2, at] = draw.at(running[here])
        return found[0], found[1], found[2]

    def locate_seen(self, index: Index) -> tuple[Index, Index, Index]:
        """As `locate`, of numbers that count the rows of the stages before where the buffer holds them."""
        return split_locate(index, self.seen_before, self.earlier.locate if self.earlier else None, self.locate)

    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> Batch:
        """The rows of `rank` in the global batch of `step` (0-based), shuffled across corpora.

        The ranks' rows one after another are the global batch, whatever their number.
        """
        rows = self.rows_per_step
        if not 0 <= step < self.planned_steps:
            raise IndexError(f"step {step} is not planned; {self.planned_steps} of {self.steps} steps are")
        if not 0 <= rank < world_size <= rows:
            raise ValueError(f"rank {rank} of {world_size} cannot share {rows} rows")
        own = slice(rank * rows // world_size, (rank + 1) * rows // world_size)
        return read_batch(self.rows, *self._order.of(step, own), self.eos_id, self.vocab_size)

    def picks(self, start: int, end: int) -> list[Index]:
        """Numbers of the rows that each step from `start` on replays from the buffer, as `locate_seen` takes them."""
        counts = self.table.counts(start, end)
        fresh = counts[:, :-1].sum(axis=1)
        seen = self.seen_before + self.fresh_before(start) + np.cumsum(fresh) - fresh
        pick = self.replay.pick  # type: ignore[attr-defined]
        numbers = range(self.first_step + start, self.first_step + end)
        each = zip(numbers, counts[:, -1].tolist(), seen.tolist(), strict=True)
        return [pick(self.seed, step, count, s) if count else np.empty(0, dtype=np.int64) for step, count, s in each]

    @property
    def replayed(self) -> Index:
        """(planned, num_corpora) rows of each corpus that Replay draws in each batch."""
        if not self.replay.from_buffer:
            return self.table.named(self.planned_steps)
        return self._buffer.rows(self.planned_steps)

    @property
    def counts(self) -> Index:
        """(planned, num_corpora) rows of each corpus in each batch, replayed ones included."""
        return self.table.counts(0, self.planned_steps)[:, :-1] + self.replayed

    def state_dict(self, step: int) -> dict[str, Any]:
        """Plain JSON for a checkpoint at `step`: what spares a later process the apportioning of the steps before.

        Of the first step whose order is worked out together with that of `step`; {} where it is no longer known.
        """
        try:
            return self.table.state_dict(self._order.start(step))
        except ValueError:  # steps far ahead are apportioned already
            return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a plan that has as many steps, at least, as the checkpoint. ValueError for another plan's."""
        if state:
            self.table.load_state_dict(state)

    def packing(self) -> dict[str, dict[str, int]]:
        """What packing did to the documents of each corpus, for the record: a PackingReport or a ConcatReport."""
        reports = [
            rows.report if isinstance(rows, BestFitRows)
            else concat_report(rows.corpus.tokens().view(np.ndarray), self.sequence_length, self.eos_id)
            for rows in self.rows
        ]  # fmt: skip
        return {name: asdict(report) for name, report in zip(self.names, reports, strict=True)}

    def tokens_seen(self, step: int) -> int:
        """Tokens after `step` steps, padding left out."""
        return sum(self.tokens_by_corpus(step).values())

    def tokens_by_corpus(self, step: int) -> dict[str, int]:
        """Tokens of each corpus after `step` steps, padding left out."""
        drawn = self.table.drawn(step)
        tokens = [drawn_tokens(d, rows, int(n)) for d, rows, n in zip(self.draws, self.rows, drawn, strict=True)]
        picked = self._buffer.before(step)[1]
        return {name: n + int(more) for name, n, more in zip(self.names, tokens, picked, strict=True)}

    def unique_tokens_by_corpus(self, step: int) -> dict[str, int]:
        """Distinct tokens of each corpus after `step` steps: an epoch repeats no row."""
        drawn = zip(self.names, self.draws, self.rows, self.table.drawn(step).tolist(), strict=True)
        return {name: drawn_tokens(draw, rows, n, distinct=True) for name, draw, rows, n in drawn}

    def replay_tokens(self, step: int) -> int:
        """Tokens drawn by Replay after `step` steps, padding left out."""
        source = self.table.replay_corpus
        if self.replay.from_buffer or source < 0:
            return int(self._buffer.before(step)[1].sum())
        count = int(self.table.totals(step)[-1])
        if not count or isinstance(self.rows[source], ConcatRows):
            return count * self.sequence_length
        rows = self.table.replay_running(step)
        return int(self.rows[source].fill(self.draws[source].at(rows)[0]).sum())

    def epochs_by_corpus(self, step: int) -> dict[str, float]:
        """Passes over the rows of each corpus after `step` steps, replayed ones included."""
        given = self.table.drawn(step) + self._buffer.before(step)[0]
        return {name: int(n) / draw.size for name, n, draw in zip(self.names, given, self.draws, strict=True)}
