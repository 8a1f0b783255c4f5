"""Formulas as a person writes them: a small algebra of sums of products, for text and LaTeX.

A record says with it how its primitive is written. Products are put together (2 r, not r + r), factors that
cancel go, and nothing is multiplied out. It computes nothing: values come from the records.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from chainrule.ops.operand import Application

from chainrule.number_text import MINUS, significant

Shape = tuple[int, ...]
Exponent = int | float
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@dataclass(frozen=True)
class Symbol:
    """A name; ``shape`` tells whether it is written with an index where its elements are meant."""

    text: str
    latex: str
    shape: Shape = ()


@dataclass(frozen=True)
class Call:
    """Anything written by a template, such as ``tanh({0})`` or ``|{0}|``."""

    text: str
    latex: str
    arguments: tuple[Expression, ...]
    shape: Shape = ()
    elementwise: bool = False


@dataclass(frozen=True)
class Chain:
    """A matrix product; the order of its parts matters."""

    parts: tuple[Expression, ...]
    shape: Shape = ()


@dataclass(frozen=True)
class Transposed:
    """A transposed matrix, or a vector lying down."""

    part: Expression
    shape: Shape = ()


@dataclass(frozen=True)
class Total:
    """The sum over elements."""

    part: Expression
    shape: Shape = ()


@dataclass(frozen=True)
class Bracket:
    """A sum that is a factor."""

    part: Expression
    shape: Shape = ()


Atom = Union[Symbol, Call, Chain, Transposed, Total, Bracket]  # noqa: UP007 - forward references


@dataclass(frozen=True)
class Term:
    """A number times powers of atoms."""

    coefficient: float
    factors: tuple[tuple[Atom, Exponent], ...] = ()

    def key(self) -> frozenset[tuple[Atom, Exponent]]:
        """Equal for terms that differ in their number or the order of their factors only."""
        return frozenset(self.factors)


@dataclass(frozen=True)
class Expression:
    """A sum of terms; no terms at all is zero. Operators combine and simplify."""

    terms: tuple[Term, ...] = ()

    def __add__(self, other: Expression | float) -> Expression:
        return _collected([*self.terms, *as_expression(other).terms])

    def __radd__(self, other: Expression | float) -> Expression:
        return as_expression(other) + self

    def __neg__(self) -> Expression:
        return Expression(tuple(Term(-term.coefficient, term.factors) for term in self.terms))

    def __sub__(self, other: Expression | float) -> Expression:
        return self + -as_expression(other)

    def __rsub__(self, other: Expression | float) -> Expression:
        return as_expression(other) - self

    def __mul__(self, other: Expression | float) -> Expression:
        left, right = self, as_expression(other)
        if not left.terms or not right.terms:
            return Expression()
        a, b = _as_factor(left), _as_factor(right)
        for number, rest in ((left.number, right), (right.number, left)):
            if number in (1, -1):  # a sum stays one
                return rest if number == 1 else -rest
        return Expression((_multiplied(a, b),))

    def __rmul__(self, other: Expression | float) -> Expression:
        return as_expression(other) * self

    def __pow__(self, exponent: Exponent) -> Expression:
        if not self.terms:
            return self
        term = _as_factor(self)
        if exponent != int(exponent) and self.atom is None:  # (x^2)^(1/2) is not x
            term = Term(1.0, ((Bracket(self, shape_of(self)), 1),))
        powered = tuple((atom, _plain(power * exponent)) for atom, power in term.factors)
        return Expression((Term(term.coefficient**exponent, powered),))

    def __truediv__(self, other: Expression | float) -> Expression:
        right = as_expression(other)
        if not right.terms:
            return self * Expression((Term(1.0, ((Symbol("0", "0"), -1),)),))
        return self * right**-1

    def __rtruediv__(self, other: Expression | float) -> Expression:
        return as_expression(other) / self

    @property
    def number(self) -> float | None:
        """Its value if it is a plain number."""
        if not self.terms:
            return 0.0
        only = self.terms[0]
        return only.coefficient if len(self.terms) == 1 and not only.factors else None

    @property
    def atom(self) -> Atom | None:
        """The atom that it is, if it is one and nothing else."""
        if len(self.terms) != 1 or self.terms[0].coefficient != 1 or len(self.terms[0].factors) != 1:
            return None
        atom, power = self.terms[0].factors[0]
        return atom if power == 1 else None

    def __str__(self) -> str:
        return write(self)


def as_expression(x: Expression | float) -> Expression:
    """A number as an expression; an expression as it is."""
    if isinstance(x, Expression):
        return x
    value = float(x)
    return Expression((Term(value),)) if value else Expression()


def of_atom(atom: Atom) -> Expression:
    """The expression that is this atom."""
    return Expression((Term(1.0, ((atom, 1),)),))


def symbol(text: str, latex: str | None = None, shape: Shape = ()) -> Expression:
    """A name."""
    return of_atom(Symbol(text, text if latex is None else latex, shape))


def call(
    text: str, latex: str, *arguments: Expression | float, shape: Shape = (), elementwise: bool = False
) -> Expression:
    """Something written by a template in which ``{0}`` is the first argument.

    >>> write(call("exp({0})", "e^{{{0}}}", symbol("x") + 1))
    'exp(x + 1)'
    """
    given = tuple(as_expression(x) for x in arguments)
    return of_atom(Call(text, latex, given, shape, elementwise))


def function(text: str, latex: str = "") -> Callable[..., Expression]:
    """How the record of an elementwise function is written; by its name in upright letters if no LaTeX is given."""
    slots = re.findall(r"{\d}", text)
    template = latex or rf"\operatorname{{{{{text.partition('(')[0]}}}}}\left({', '.join(slots)}\right)"

    def written(node: Application, *operands: Expression) -> Expression:
        return call(text, template, *operands, shape=node.shape, elementwise=True)

    return written


def _plain(power: Exponent) -> Exponent:
    return int(power) if power == int(power) else power


def added(parts: Iterable[Expression]) -> Expression:
    """The sum of many expressions at once: added one by one, each would be gone through for every one that follows.

    >>> r, x = symbol("r"), symbol("x")
    >>> write(added([r, 2 * x, r]))
    '2r + 2x'
    """
    return _collected(term for part in parts for term in part.terms)


def _collected(terms: Iterable[Term]) -> Expression:
    """Terms that differ in their numbers only, added up."""
    found: dict[frozenset[tuple[Atom, Exponent]], Term] = {}
    for term in terms:
        key = term.key()
        before = found[key].coefficient if key in found else 0.0
        factors = found[key].factors if key in found else term.factors
        found[key] = Term(before + term.coefficient, factors)
    return Expression(tuple(term for term in found.values() if term.coefficient != 0))


def _as_factor(x: Expression) -> Term:
    """One term of the same value: a sum becomes a bracket."""
    return x.terms[0] if len(x.terms) == 1 else Term(1.0, ((Bracket(x, shape_of(x)), 1),))


def _multiplied(a: Term, b: Term) -> Term:
    powers: dict[Atom, Exponent] = {}
    for atom, power in (*a.factors, *b.factors):
        powers[atom] = _plain(powers.get(atom, 0) + power)
    kept = tuple((atom, power) for atom, power in powers.items() if power != 0)
    return Term(a.coefficient * b.coefficient, kept)


def shape_of(x: Expression) -> Shape:
    """The largest shape in it: that of the whole, as long as smaller ones broadcast."""
    return max((atom.shape for term in x.terms for atom, _ in term.factors), key=math.prod, default=())


# Products of matrices and sums of elements


def transposed(x: Expression, shape: Shape = ()) -> Expression:
    """Transposed, term by term: (A B)^T = B^T A^T, twice is not at all, and numbers stay in front.

    >>> r, x = symbol("r"), symbol("x", shape=(3,))
    >>> write(transposed(transposed(2 * r * x)))
    '2r x'
    """
    result = shape or shape_of(x)[::-1]
    return _collected(term for old in x.terms for term in _transposed_term(old, result).terms)


def _transposed_term(term: Term, shape: Shape) -> Expression:
    numbers = tuple((atom, power) for atom, power in term.factors if math.prod(atom.shape) == 1)
    arrays = tuple((atom, power) for atom, power in term.factors if math.prod(atom.shape) != 1)
    front = Expression((Term(term.coefficient, numbers),))
    if not arrays:
        return front
    atom, power = arrays[0]
    if len(arrays) > 1 or power != 1:
        return front * of_atom(Transposed(Expression((Term(1.0, arrays),)), shape))
    if isinstance(atom, Transposed):
        return front * atom.part
    if isinstance(atom, Chain):
        parts = tuple(transposed(part, shape_of(part)[::-1]) for part in atom.parts[::-1])
        return front * of_atom(Chain(parts, shape))
    return front * of_atom(Transposed(of_atom(atom), shape))


def product(a: Expression, b: Expression, shape: Shape = ()) -> Expression:
    """A matrix product; numbers go in front, and products of products are written without brackets."""
    if not a.terms or not b.terms:
        return Expression()
    coefficient = 1.0
    parts: list[Expression] = []
    for x in (a, b):
        term = _as_factor(x)
        coefficient *= term.coefficient
        bare = Expression((Term(1.0, term.factors),))
        inner = bare.atom
        parts += list(inner.parts) if isinstance(inner, Chain) else [bare]
    return coefficient * of_atom(Chain(tuple(parts), shape))


def upright(x: Expression) -> Expression:
    """Without the turning of vectors outside of matrix products, where it says nothing.

    >>> x = symbol("x", shape=(3,))
    >>> write(upright(2 * transposed(x)))
    '2x'
    """
    parts = []
    for term in x.terms:
        part = Expression((Term(term.coefficient),))
        for atom, power in term.factors:
            part = part * _upright_atom(atom) ** power
        parts.append(part)
    return added(parts)


def _upright_atom(atom: Atom) -> Expression:
    match atom:
        case Transposed() if len(shape_of(atom.part)) == 1:
            return upright(atom.part)
        case Bracket():
            inner = upright(atom.part)
            return of_atom(Bracket(inner, atom.shape))
        case Total():
            return total(upright(atom.part), atom.shape)
        case Call():
            arguments = tuple(upright(argument) for argument in atom.arguments)
            return of_atom(Call(atom.text, atom.latex, arguments, atom.shape, atom.elementwise))
        case _:
            return of_atom(atom)


def total(x: Expression, shape: Shape = ()) -> Expression:
    """The sum over elements; numbers go in front."""
    if len(x.terms) != 1:
        return of_atom(Total(x, shape)) if x.terms else x
    term = x.terms[0]
    return term.coefficient * of_atom(Total(Expression((Term(1.0, term.factors),)), shape))


def without(x: Expression, atom: Atom) -> Expression | None:
    """What an expression multiplies the atom by; None unless it is the atom times something."""
    kept = []
    for term in x.terms:
        powers = dict(term.factors)
        if powers.pop(atom, None) != 1 or any(atom in set(atoms_of(other)) for other in powers):
            return None
        kept.append(Term(term.coefficient, tuple((a, p) for a, p in term.factors if a != atom)))
    rest = Expression(tuple(kept))
    return rest.atom.part if isinstance(rest.atom, Bracket) else rest


def replaced(x: Expression, atom: Atom, value: Expression) -> Expression:
    """The expression with another in the place of an atom, wherever it stands."""
    parts = []
    for term in x.terms:
        part = Expression((Term(term.coefficient),))
        for other, power in term.factors:
            part = part * (value if other == atom else _replaced_inside(other, atom, value)) ** power
        parts.append(part)
    return added(parts)


def _replaced_inside(x: Atom, atom: Atom, value: Expression) -> Expression:
    match x:
        case Symbol():
            return of_atom(x)
        case Call():
            inner = tuple(replaced(argument, atom, value) for argument in x.arguments)
            return of_atom(Call(x.text, x.latex, inner, x.shape, x.elementwise))
        case Chain():
            parts = [replaced(part, atom, value) for part in x.parts]
            whole = parts[0]
            for part in parts[1:]:
                whole = product(whole, part, x.shape)
            return whole
        case Transposed():
            return transposed(replaced(x.part, atom, value), x.shape)
        case Total():
            return total(replaced(x.part, atom, value), x.shape)
        case Bracket():
            return replaced(x.part, atom, value)


def atoms_of(atom: Atom) -> Iterator[Atom]:
    """The atom and all atoms in it."""
    yield atom
    inner = (
        atom.arguments
        if isinstance(atom, Call)
        else atom.parts
        if isinstance(atom, Chain)
        else ()
        if isinstance(atom, Symbol)
        else (atom.part,)
    )
    for part in inner:
        yield from atoms_in(part)


def atoms_in(x: Expression) -> Iterator[Atom]:
    """All atoms of an expression, also those inside others."""
    for term in x.terms:
        for atom, _ in term.factors:
            yield from atoms_of(atom)


# Writing


@dataclass(frozen=True)
class Style:
    """Text or LaTeX, and the index that elements of vectors of length ``of`` are written with."""

    latex: bool = False
    index: str = ""
    of: int = 0


def can_index(x: Expression, length: int) -> bool:
    """Whether an expression can be written element by element: scalars and vectors of this length alone."""

    def fits(atom: Atom) -> bool:
        if math.prod(atom.shape) == 1:
            return True
        if isinstance(atom, Symbol):
            return atom.shape == (length,)
        if isinstance(atom, Bracket):
            return can_index(atom.part, length)
        return (
            isinstance(atom, Call) and atom.elementwise and all(can_index(a, length) for a in atom.arguments)
        )

    return all(fits(atom) for term in x.terms for atom, _ in term.factors)


def write(x: Expression, style: Style | None = None) -> str:
    """The expression as text, or as LaTeX if the style says so.

    >>> r, w = symbol("r"), symbol("w", shape=(3,))
    >>> write(r * -1 * w + w * -r)
    '−2r w'
    >>> write(1 / (1 + r), Style(latex=True))
    '\\\\frac{1}{1 + r}'
    """
    style = style or Style()
    if not x.terms:
        return "0"
    written = ""
    for i, term in enumerate(x.terms):
        body = _write_term(Term(abs(term.coefficient), term.factors), style)
        minus = "-" if style.latex else "−"
        if i == 0:
            written = (minus if term.coefficient < 0 else "") + body
        else:
            written += f" {minus if term.coefficient < 0 else '+'} {body}"
    return written


def write_number(value: float, style: Style | None = None) -> str:
    """A number to six digits.

    >>> write_number(-0.25), write_number(3.0)
    ('−0.25', '3')
    """
    style = style or Style()
    text = significant(value)
    if not style.latex:
        return text.replace("-", MINUS)
    mantissa, e, power = text.partition("e")
    return rf"{mantissa} \cdot 10^{{{power}}}" if e else text


def write_factor(x: Expression, style: Style) -> str:
    """The expression as it stands beside others in a product: in brackets where it is a sum or negative."""
    text = write(x, style)
    alone = len(x.terms) <= 1 and not text.startswith(("-", "−"))
    return text if alone else bracketed(text, style)


def bracketed(text: str, style: Style) -> str:
    """The text in round brackets."""
    return rf"\left({text}\right)" if style.latex else f"({text})"


def _write_term(term: Term, style: Style) -> str:
    above = [(atom, power) for atom, power in term.factors if power > 0]
    below = [(atom, -power) for atom, power in term.factors if power < 0]
    numerator = _write_product(term.coefficient, above, style)
    if not below:
        return numerator
    if style.latex:
        numerator, denominator = (
            _write_bare(c, f, style) for c, f in ((term.coefficient, above), (1.0, below))
        )
        return rf"\frac{{{numerator}}}{{{denominator}}}"
    denominator = _write_product(1.0, below, style)
    compound = len(below) > 1
    return f"{numerator} / {f'({denominator})' if compound else denominator}"


def _write_bare(coefficient: float, factors: list[tuple[Atom, Exponent]], style: Style) -> str:
    """A product above or below a fraction's bar, which does what brackets would."""
    if coefficient == 1 and len(factors) == 1 and factors[0][1] == 1 and isinstance(factors[0][0], Bracket):
        return write(factors[0][0].part, style)
    return _write_product(coefficient, factors, style)


def _write_product(coefficient: float, factors: list[tuple[Atom, Exponent]], style: Style) -> str:
    if not factors:
        return write_number(coefficient, style)
    factors = sorted(factors, key=lambda factor: math.prod(factor[0].shape) != 1)  # numbers before arrays
    arrays = [a for a, _ in factors if math.prod(a.shape) != 1 and not style.index]
    parts = [_write_power(atom, power, style) for atom, power in factors]
    written = parts[0]
    for (atom, _), part in zip(factors[1:], parts[1:], strict=True):
        both_arrays = len(arrays) > 1 and atom in arrays and atom is not arrays[0]
        times = (r" \odot " if style.latex else " ⊙ ") if both_arrays else (r" \, " if style.latex else " ")
        written += times + part
    if coefficient == 1:
        return written
    whole = coefficient == int(coefficient) if math.isfinite(coefficient) else False
    space = "" if whole and _is_letter(of_atom(factors[0][0])) else " "
    if style.latex:
        space = r" \cdot " if written[0].isdigit() else " " if written[0].isalpha() else r" \, "
    return f"{write_number(coefficient, style)}{space}{written}"


def _write_power(atom: Atom, power: Exponent, style: Style) -> str:
    base = _write_atom(atom, style)
    if power == 1:
        return base
    if power == 0.5:
        under = write(atom.part, style) if isinstance(atom, Bracket) else base
        return rf"\sqrt{{{under}}}" if style.latex else f"√({under})"
    if style.latex:
        simple = isinstance(atom, Symbol | Bracket)
        return f"{base if simple else bracketed(base, style)}^{{{power:g}}}"
    simple = isinstance(atom, Bracket) or (isinstance(atom, Symbol) and "/" not in base) or base.endswith(")")
    raised = _raised(power)
    return f"{base if simple else bracketed(base, style)}{raised}"


def _raised(power: Exponent) -> str:
    text = f"{power:g}"
    if set(text) <= set("0123456789"):
        return text.translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"^{text}"


def _write_atom(atom: Atom, style: Style) -> str:
    match atom:
        case Symbol():
            return _write_symbol(atom, style)
        case Bracket():
            return bracketed(write(atom.part, style), style)
        case Call():
            template = atom.latex if style.latex else atom.text
            inside = style if atom.elementwise and math.prod(atom.shape) != 1 else Style(style.latex)
            return template.format(*(write(x, inside) for x in atom.arguments))
        case Transposed():
            inner = write(atom.part, Style(style.latex))
            if not isinstance(atom.part.atom, Symbol | Bracket) or "/" in inner or r"\frac" in inner:
                inner = bracketed(inner, style)
            return f"{inner}^{{\\top}}" if style.latex else f"{inner}ᵀ"
        case Chain():
            symbols = all(_is_letter(part) for part in atom.parts)
            return (" " if style.latex or not symbols else "").join(
                write_factor(part, Style(style.latex)) for part in atom.parts
            )
        case Total():
            return _write_total(atom, style)


def _is_letter(x: Expression) -> bool:
    """Whether it is written with one letter, perhaps with a hat or a number, perhaps transposed."""
    atom = x.atom
    if isinstance(atom, Transposed):
        return _is_letter(atom.part)
    return isinstance(atom, Symbol) and atom.text[:1].isalpha() and not atom.text[1:2].isalpha()


def _write_symbol(atom: Symbol, style: Style) -> str:
    if not style.index or atom.shape != (style.of,) or style.of == 1:
        return atom.latex if style.latex else atom.text
    if not style.latex:
        return f"{atom.text}_{style.index}"
    if atom.latex.startswith(r"\frac"):  # of a derivative: below, where its variable stands
        above, _, variable = atom.latex[:-1].rpartition(r"\partial ")
        return rf"{above}\partial {_with_index(variable, style.index)}}}"
    return _with_index(atom.latex, style.index)


def _with_index(latex: str, index: str) -> str:
    if latex.endswith("}") and "_{" in latex:
        return f"{latex[:-1]},{index}}}"
    return f"{latex}_{index}"


def _write_total(atom: Total, style: Style) -> str:
    shape = shape_of(atom.part)
    letter = "j" if style.index != "j" else "k"
    if len(shape) == 1 and can_index(atom.part, shape[0]):
        body = write_factor(atom.part, Style(style.latex, letter, shape[0]))
        return rf"\sum_{{{letter}=1}}^{{{shape[0]}}} {body}" if style.latex else f"Σ_{letter} {body}"
    body = write(atom.part, Style(style.latex))
    return rf"\operatorname{{sum}}\left({body}\right)" if style.latex else f"sum({body})"
