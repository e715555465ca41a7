"""Phrases that a text must contain, and how far a text has come with them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from dovetail.errors import GenerationError
from dovetail.generation.checks import is_integer


class Constraint(ABC):
    """Tokens that must occur in a row; `seqlen` is the most that it takes."""

    seqlen: int = 0
    completed: bool = False

    @abstractmethod
    def advance(self) -> int | list[int] | None:
        """The tokens that come closer to the end; None when it is reached."""

    @abstractmethod
    def does_advance(self, token_id: int) -> bool:
        """Whether a token comes closer to the end."""

    @abstractmethod
    def update(self, token_id: int) -> tuple[bool, bool, bool]:
        """Take the next token of the text: whether that came closer, whether it reached the end,
        whether it made all in vain.
        """

    @abstractmethod
    def reset(self) -> None:
        """Begin anew."""

    @abstractmethod
    def remaining(self) -> int:
        """How many tokens are missing, at most."""

    @abstractmethod
    def copy(self, stateful: bool = False) -> Constraint:
        """The same constraint, with what was reached if `stateful`."""


class DisjunctiveConstraint(Constraint):
    """One of several phrases, lists of token ids, none of which begins another."""

    def __init__(self, nested_token_ids: Sequence[Sequence[int]]) -> None:
        phrases = [tuple(_checked(phrase)) for phrase in nested_token_ids]
        for phrase in phrases:
            if any(other != phrase and other[: len(phrase)] == phrase for other in phrases):
                raise GenerationError(
                    f"nested_token_ids: {list(phrase)} begins another phrase, so that one could "
                    "never be completed: drop either"
                )
        if not phrases:
            raise GenerationError("nested_token_ids is empty: list at least one phrase")
        self.token_ids = nested_token_ids
        self.phrases = phrases
        self.seqlen = max(len(phrase) for phrase in phrases)
        self.shortest = min(len(phrase) for phrase in phrases)
        self.current_seq: tuple[int, ...] = ()
        self.completed = False

    def advance(self) -> int | list[int] | None:
        """The next token of every phrase that the last tokens began; None at an end."""
        done = len(self.current_seq)
        tokens = {
            phrase[done]: None
            for phrase in self.phrases
            if len(phrase) > done and phrase[:done] == self.current_seq
        }
        return list(tokens) or None

    def does_advance(self, token_id: int) -> bool:
        """Whether a token goes on with such a phrase."""
        tokens = self.advance()
        return token_id in ([tokens] if isinstance(tokens, int) else tokens or ())

    def update(self, token_id: int) -> tuple[bool, bool, bool]:
        """Take the next token; one that goes on with no phrase makes all in vain."""
        stepped = self.does_advance(token_id)
        if stepped:
            self.current_seq = (*self.current_seq, token_id)
            self.completed = self.current_seq in self.phrases
        else:
            self.reset()
        return stepped, self.completed, not stepped

    def reset(self) -> None:
        """Begin anew."""
        self.current_seq, self.completed = (), False

    def remaining(self) -> int:
        """How many tokens are missing, at most."""
        return 0 if self.completed else self.seqlen - len(self.current_seq)

    def copy(self, stateful: bool = False) -> Constraint:
        """The same constraint, with what was reached if `stateful`."""
        new = type(self)(self.token_ids)
        if stateful:
            new.current_seq, new.completed = self.current_seq, self.completed
        return new


class PhrasalConstraint(DisjunctiveConstraint):
    """One phrase, a list of token ids."""

    def __init__(self, token_ids: Sequence[int]) -> None:
        super().__init__([token_ids])
        self.token_ids = token_ids  # type: ignore[assignment] # what the constructor takes

    def advance(self) -> int | list[int] | None:
        """The next token; None at the end."""
        tokens = super().advance()
        return tokens[0] if isinstance(tokens, list) else tokens


def _checked(phrase: Sequence[int]) -> Sequence[int]:
    if not isinstance(phrase, list | tuple) or not phrase:
        raise GenerationError(f"a phrase is {phrase!r}: it must be a list of token ids, not empty")
    if not all(is_integer(token) and token >= 0 for token in phrase):
        raise GenerationError(f"a phrase is {phrase!r}: token ids are integers of at least 0")
    return phrase


class ConstraintListState:
    """How far one text has come with several constraints, of which one at a time is in progress."""

    def __init__(self, constraints: Sequence[Constraint]) -> None:
        self.constraints = constraints
        self.max_seqlen = max(constraint.seqlen for constraint in constraints)
        self.n_constraints = len(constraints)
        self.init_state()

    def init_state(self) -> None:
        """Begin anew."""
        self.completed = False
        self.complete_constraints: list[Constraint] = []
        self.inprogress_constraint: Constraint | None = None
        self.pending_constraints = [constraint.copy() for constraint in self.constraints]

    def get_bank(self) -> int:
        """A measure of what was reached: more is closer to the end."""
        begun = self.inprogress_constraint
        added = 0 if begun is None else self.max_seqlen - begun.remaining()
        return len(self.complete_constraints) * self.max_seqlen + added

    def advance(self) -> list[int] | None:
        """The tokens that come closer; None when all is complete."""
        begun = self.inprogress_constraint
        tokens: list[int] = []
        for constraint in self.pending_constraints if begun is None else [begun]:
            found = constraint.advance()
            tokens += [found] if isinstance(found, int) else found or []
        return tokens or None

    def reset(self, token_ids: Sequence[int] | None) -> None:
        """Begin anew with a text."""
        self.init_state()
        for token in token_ids or ():
            self.add(token)
            if self.completed:
                break

    def add(self, token_id: int) -> tuple[bool, bool]:
        """Take the next token: whether it completed a constraint, whether it came closer to one."""
        if self.completed:
            return True, False
        if self.inprogress_constraint is None:
            waiting = self.pending_constraints
            begun = next((entry for entry in waiting if entry.does_advance(token_id)), None)
            if begun is None:
                return False, False
            waiting.remove(begun)
            self.inprogress_constraint = begun
        begun = self.inprogress_constraint
        stepped, complete, in_vain = begun.update(token_id)
        if in_vain:
            self.pending_constraints.append(begun.copy())
            self.inprogress_constraint = None
        if complete:
            self.complete_constraints.append(begun)
            self.inprogress_constraint = None
            self.completed = not self.pending_constraints
        return complete, stepped

    def copy(self, stateful: bool = True) -> ConstraintListState:
        """The same constraints, with what was reached if `stateful`."""
        new = ConstraintListState(self.constraints)
        if stateful:
            begun = self.inprogress_constraint
            new.completed = self.completed
            new.complete_constraints = [entry.copy(True) for entry in self.complete_constraints]
            new.inprogress_constraint = None if begun is None else begun.copy(True)
            new.pending_constraints = [entry.copy() for entry in self.pending_constraints]
        return new
