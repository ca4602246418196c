"""A SIGINT that Python drops still ends a run."""

import signal

import pytest

from cptlab.training.interrupt import interruptible


def test_an_interrupt_that_was_swallowed_rises_at_the_end_of_the_step():
    with interruptible() as callbacks:
        (stop,) = callbacks
        stop.on_train_batch_end(None, None)  # nothing was asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            stop.on_train_batch_end(None, None)


def test_the_handler_before_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with interruptible():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
