"""Largest stack of a network: the frames of the compiler, added along the deepest path of calls."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.building.call_graph import CallGraph
from network.errors import BuildError


@dataclass(frozen=True, slots=True)
class StackBound:
    """Largest stack of a function and all that it calls.

    Attributes:
        stack_bytes: Number of bytes, without interrupts.
        path: Names of the functions of the deepest path, the outermost first.
    """

    stack_bytes: int
    path: tuple[str, ...]


def stack_bound(graph: CallGraph, function: str) -> StackBound:
    """Return the largest stack that a function and all that it calls can use.

    Args:
        graph: The functions, those of the runtime library included.
        function: Name of the function.

    Raises:
        BuildError: if the stack has no bound: recursion, an array of variable length, a call through an unknown
            pointer, or a call of a function that is not in the graph.
    """
    return _bound(graph, function, (), {})


def cycles(graph: CallGraph) -> tuple[tuple[str, ...], ...]:
    """Return the functions that call themselves, directly or through others: the functions of each cycle."""
    found: dict[frozenset[str], tuple[str, ...]] = {}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            cycle = path[path.index(name) :]
            found.setdefault(frozenset(cycle), cycle)
        elif name in graph and name not in done:
            for callee in sorted(graph[name].callees):
                visit(callee, (*path, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())
    return tuple(found.values())


def _bound(graph: CallGraph, name: str, path: tuple[str, ...], known: dict[str, StackBound]) -> StackBound:
    if name in known:
        return known[name]
    if name in path:
        raise BuildError(f"the stack has no bound: {' calls '.join((*path[path.index(name) :], name))}")
    function = graph.get(name)
    if function is None:
        caller = path[-1] if path else "the program"
        raise BuildError(f"the stack has no bound: {caller} calls {name}, whose stack is unknown")
    if function.frame == "dynamic":
        raise BuildError(f"the stack has no bound: {name} has an array of variable length")
    if function.has_pointer_call and not function.pointer_calls:
        raise BuildError(f"the stack has no bound: {name} calls through a pointer that no constant holds")
    below = [_bound(graph, callee, (*path, name), known) for callee in sorted(function.callees)]
    deepest = max(below, key=lambda each: each.stack_bytes, default=StackBound(0, ()))
    bound = StackBound(function.frame_bytes + deepest.stack_bytes, (name, *deepest.path))
    known[name] = bound
    return bound
