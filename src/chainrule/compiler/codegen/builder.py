"""LLVM IR as text: one object per function, one method per instruction, values that know their type.

Text is what LLVM reads fastest from Python, and what a reader of a dump sees.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType

import numpy as np

from chainrule.ops.registers import Type, Value

__all__ = [
    "F32",
    "F64",
    "I1",
    "I8",
    "I32",
    "I64",
    "PTR",
    "Function",
    "Loop",
    "Type",
    "Value",
    "const",
    "const_vector",
    "first_lanes",
    "float_literal",
    "module_text",
]

F32, F64, I1, I8, I32, I64, PTR = (Type(s) for s in ("float", "double", "i1", "i8", "i32", "i64", "ptr"))


def float_literal(value: float, scalar: str) -> str:
    """A float as LLVM reads it without loss: the bits of the double in hexadecimal."""
    if scalar == "float":
        value = float(np.float32(value))
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def const(value: float, type: Type) -> Value:
    """A literal, the same in every lane."""
    if type.is_float:
        literal = float_literal(value, type.scalar)
    elif type.scalar == "i1":
        literal = "true" if value else "false"
    else:
        literal = str(int(value))
    number = None if type.is_float else int(value)
    return Value(literal if type.lanes == 1 else f"splat ({type.scalar} {literal})", type, number)


def const_vector(values: Sequence[float], type: Type) -> Value:
    """A literal with its own number in each lane."""
    scalar = Type(type.scalar)
    return Value("<" + ", ".join(str(const(v, scalar)) for v in values) + ">", type)


def first_lanes(count: int, lanes: int) -> Value:
    """The mask whose first ``count`` lanes are on."""
    mask = const_vector([lane < count for lane in range(lanes)], Type("i1", lanes))
    return mask._replace(active=count)


class Function:
    """A function being written. Instructions are appended at the end; blocks come from ``loop`` and ``branch``."""

    def __init__(
        self,
        name: str,
        parameters: Sequence[tuple[Type, str]],
        result: str = "void",
        functions: Mapping[str, Callable[..., Value]] = MappingProxyType({}),
    ) -> None:
        """``functions`` are what ``math`` may write out, each called with this function and its operands."""
        self.name, self.result, self.functions = name, result, functions
        self.parameters = [Value(f"%{label}", type) for type, label in parameters]
        self.lines: list[str] = ["entry:"]
        self.block = "entry"
        self.declared: set[str] = set()
        self._count = 0

    def __str__(self) -> str:
        attributes = {"ptr": "ptr noalias nocapture"}
        listed = ", ".join(f"{attributes.get(p.type.scalar, p.type)} {p.name}" for p in self.parameters)
        return f"define {self.result} @{self.name}({listed}) #0 {{\n" + "\n".join(self.lines) + "\n}\n"

    # Writing

    def fresh(self, hint: str = "v") -> str:
        """A name that is not taken."""
        self._count += 1
        return f"%{hint}{self._count}"

    def op(self, text: str, type: Type) -> Value:
        """Append ``name = text`` and give the new value."""
        value = Value(self.fresh(), type)
        self.lines.append(f"  {value.name} = {text}")
        return value

    def do(self, text: str) -> None:
        """Append an instruction without a result."""
        self.lines.append(f"  {text}")

    def start(self, label: str) -> None:
        """Begin a block."""
        self.lines.append(f"{label[1:]}:")
        self.block = label[1:]

    def call(self, result: Type | None, name: str, *arguments: Value) -> Value:
        """Call a function or intrinsic, declaring it in the module."""
        kinds = ", ".join(str(a.type) for a in arguments)
        self.declared.add(f"declare {result or 'void'} @{name}({kinds})")
        text = f"call {result or 'void'} @{name}({', '.join(map(str, arguments))})"
        if result is None:
            self.do(text)
            return Value("", I1)
        return self.op(text, result)

    # Arithmetic

    def binary(self, op: str, a: Value, b: Value) -> Value:
        """fadd, fsub, fmul, fdiv, add, sub, mul, and, or, xor, shl, lshr, ashr, ..."""
        return self.op(f"{op} {a}, {b.name}", a.type)

    def fneg(self, a: Value) -> Value:
        """-a."""
        return self.op(f"fneg {a}", a.type)

    def fcmp(self, relation: str, a: Value, b: Value) -> Value:
        """oeq, ogt, oge, olt, ole, une, uno, ..."""
        return self.op(f"fcmp {relation} {a}, {b.name}", a.type.mask)

    def icmp(self, relation: str, a: Value, b: Value) -> Value:
        """eq, ne, slt, sle, sgt, sge, ult, ..."""
        return self.op(f"icmp {relation} {a}, {b.name}", a.type.mask)

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        """a where the condition holds, else b."""
        return self.op(f"select {condition}, {a}, {b}", a.type)

    def convert(self, op: str, a: Value, scalar: str) -> Value:
        """sitofp, uitofp, fptosi, fpext, fptrunc, zext, sext, trunc, bitcast to lanes of another scalar."""
        to = a.type.of(scalar)
        return self.op(f"{op} {a} to {to}", to)

    def intrinsic(self, name: str, *arguments: Value) -> Value:
        """llvm.NAME on values of one type: fma, sqrt, fabs, copysign, floor, smin, ..."""
        type = arguments[0].type
        return self.call(type, f"llvm.{name}.{type.suffix}", *arguments)

    def math(self, name: str, *x: Value) -> Value:
        """One of the functions (``mathfn.py``), written out here."""
        return self.functions[name](self, *x)

    @staticmethod
    def const(number: float, type: Type) -> Value:
        """A literal, the same in every lane."""
        return const(number, type)

    @staticmethod
    def known(value: Value) -> int | None:
        """The integer that a literal has in every lane; None for what is computed."""
        return value.number

    def any_lane(self, mask: Value) -> Value:
        """Whether a mask is on in some lane."""
        if mask.type.lanes == 1:
            return mask
        bits = Type(f"i{mask.type.lanes}")
        return self.icmp("ne", self.op(f"bitcast {mask} to {bits}", bits), const(0, bits))

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """a b + c, rounded once."""
        return self.intrinsic("fma", a, b, c)

    # Integers, folded where both are literals

    def plus(self, a: Value, by: int) -> Value:
        """a + by."""
        if a.number is not None:
            return const(a.number + by, a.type)
        return self.binary("add", a, const(by, a.type)) if by else a

    def times(self, a: Value, by: int) -> Value:
        """a by."""
        if by == 0 or a.number is not None:
            return const(by and (a.number or 0) * by, a.type)
        return self.binary("mul", a, const(by, a.type)) if by != 1 else a

    # Memory

    def offset(self, pointer: Value, index: Value, scalar: str) -> Value:
        """The address of element ``index``."""
        if index.number == 0:
            return pointer
        return self.op(f"getelementptr {scalar}, {pointer}, {index}", PTR)

    def load(self, pointer: Value, type: Type, mask: Value | None = None, other: int = 0) -> Value:
        """Lanes that follow each other; those that a mask switches off are ``other`` and are not touched."""
        align = type.bits // 8 if type.bits >= 8 else 1
        if mask is None:
            return self.op(f"load {type}, {pointer}, align {align}", type)
        name = f"llvm.masked.load.{type.suffix}.p0"
        return self.call(type, name, pointer, Value(str(align), I32), mask, const(other, type))

    def store(self, value: Value, pointer: Value, mask: Value | None = None) -> None:
        """Write lanes that follow each other."""
        type = value.type
        align = type.bits // 8 if type.bits >= 8 else 1
        if mask is None:
            self.do(f"store {value}, {pointer}, align {align}")
        elif mask.active is not None and type.bits * type.lanes < 512:
            self._store_first(value, pointer, mask.active)
        else:
            name = f"llvm.masked.store.{type.suffix}.p0"
            self.call(None, name, value, pointer, Value(str(align), I32), mask)

    def _store_first(self, value: Value, pointer: Value, count: int) -> None:
        """The first lanes in two, three pieces: only processors with 64-byte vectors have fast masked stores."""
        done = 0
        while done < count:
            size = 1 << ((count - done).bit_length() - 1)
            piece = (
                self.shuffle(value, value, range(done, done + size)) if size > 1 else self.lane(value, done)
            )
            self.store(piece, self.offset(pointer, const(done, I64), value.type.scalar))
            done += size

    def splat(self, a: Value, lanes: int) -> Value:
        """A scalar in every lane."""
        if lanes == 1:
            return a
        type = Type(a.type.scalar, lanes)
        if not a.name.startswith("%"):
            return Value(f"splat ({a})", type)
        one = self.op(f"insertelement {type} poison, {a}, i32 0", type)
        return self.op(f"shufflevector {one}, {type} poison, <{lanes} x i32> zeroinitializer", type)

    def lane(self, a: Value, index: int) -> Value:
        """One lane as a scalar."""
        return self.op(f"extractelement {a}, i32 {index}", Type(a.type.scalar))

    def shuffle(self, a: Value, b: Value, picked: Sequence[int]) -> Value:
        """Lanes picked from a, then b, as if they lay side by side; -1 where any will do."""
        indices = ", ".join(f"i32 {i}" if i >= 0 else "i32 poison" for i in picked)
        return self.op(
            f"shufflevector {a}, {b}, <{len(picked)} x i32> <{indices}>", Type(a.type.scalar, len(picked))
        )

    def iota(self, type: Type) -> Value:
        """0, 1, 2, ... in the lanes."""
        return const(0, type) if type.lanes == 1 else const_vector(range(type.lanes), type)

    # Control

    @contextmanager
    def trial(self) -> Iterator[list[str]]:
        """What is written inside goes to the list that is given out, not into the function."""
        kept, block, count = self.lines, self.block, self._count
        self.lines = []
        yield self.lines
        self.lines, self.block, self._count = kept, block, count

    @contextmanager
    def branch(self, condition: Value) -> Iterator[None]:
        """What is written inside runs only where the condition holds."""
        inside, after = self.fresh("then"), self.fresh("after")
        self.do(f"br {condition}, label {inside}, label {after}")
        self.start(inside)
        yield
        self.do(f"br label {after}")
        self.start(after)

    @contextmanager
    def loop(self, start: Value, stop: Value, step: int, carried: Sequence[Value] = ()) -> Iterator[Loop]:
        """``for i in range(start, stop, step)`` with values carried from turn to turn; runs at least once.

        Inside, read ``loop.index`` and ``loop.values``, and set ``loop.values`` to the next ones. Afterwards
        ``loop.values`` are the last ones.
        """
        before, body, after = self.block, self.fresh("loop"), self.fresh("done")
        self.do(f"br label {body}")
        self.start(body)
        index = Value(self.fresh("i"), start.type)
        names = [Value(self.fresh("c"), value.type) for value in carried]
        place = len(self.lines)
        self.lines.extend([""] * (1 + len(names)))
        loop = Loop(index, list(names))
        yield loop
        following = self.binary("add", index, const(step, index.type))
        again = self.icmp("slt", following, stop)
        end = self.block
        self.do(f"br {again}, label {body}, label {after}")
        for k, (phi, first, last) in enumerate(
            zip([index, *names], [start, *carried], [following, *loop.values], strict=True)
        ):
            self.lines[place + k] = (
                f"  {phi.name} = phi {phi.type} [ {first.name}, %{before} ], [ {last.name}, %{end} ]"
            )
        self.start(after)

    @contextmanager
    def guarded_loop(
        self, start: Value, stop: Value, step: int, carried: Sequence[Value] = ()
    ) -> Iterator[Loop]:
        """A loop that is skipped where there is nothing to do; ``loop`` runs at least once."""
        before, inside, after = self.block, self.fresh("some"), self.fresh("after")
        self.do(f"br {self.icmp('slt', start, stop)}, label {inside}, label {after}")
        self.start(inside)
        with self.loop(start, stop, step, carried) as loop:
            yield loop
        end = self.block
        self.do(f"br label {after}")
        self.start(after)
        pairs = zip(carried, loop.values, strict=True)
        loop.values = [
            self.op(f"phi {a.type} [ {a.name}, %{before} ], [ {b.name}, %{end} ]", a.type) for a, b in pairs
        ]

    def ret(self, value: Value | None = None) -> None:
        """Return."""
        self.do(f"ret {value}" if value else "ret void")


class Loop:
    """The index of a loop and the values carried through it."""

    def __init__(self, index: Value, values: list[Value]) -> None:
        self.index, self.values = index, values


def module_text(functions: Sequence[Function], attributes: str, *, globals: Sequence[str] = ()) -> str:
    """A whole module; ``attributes`` (CPU, features, vector width) apply to every function."""
    defined = {f"@{function.name}(" for function in functions}
    wanted = {line for function in functions for line in function.declared}
    declared = sorted(
        line
        for line in wanted
        if not any(name in line for name in defined)
        and not any(line.replace("declare", "define").split("(")[0] in text for text in globals)
    )
    return (
        "\n".join([*globals, *map(str, functions), *declared, f"attributes #0 = {{ {attributes} }}"]) + "\n"
    )
