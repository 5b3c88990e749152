"""Cost points of a query, by the vendor's published sum: an object 1, a connection what its first nodes may cost.

What a query may cost is reserved before it runs; what it did cost is counted off its answer.
"""

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_leaf_type,
)

MOST_A_QUERY = 1_000.0
A_MUTATION = 10.0
NO_FIRST = 50


class Pricing:
    """Prices one document under one set of variables."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._schema = schema
        self._variables = variables
        self._fragments = {
            each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)
        }
        self._operation = next(
            each for each in document.definitions if isinstance(each, OperationDefinitionNode)
        )

    def requested(self) -> float:
        """The most the query may cost."""
        if self._operation.operation is OperationType.MUTATION:
            return A_MUTATION
        root = self._schema.query_type
        assert root is not None
        return float(self._selection(self._operation.selection_set, root, 1))

    def actual(self, data: Any) -> float:
        """What it did cost: every object of the answer."""
        if self._operation.operation is OperationType.MUTATION:
            return A_MUTATION
        return float(max(0, _objects(data) - 1))

    def _selection(self, chosen: SelectionSetNode | None, parent: GraphQLNamedType, rows: int) -> int:
        return sum(self._of(each, parent, rows) for each in (chosen.selections if chosen else ()))

    def _of(self, node: object, parent: GraphQLNamedType, rows: int) -> int:
        match node:
            case FragmentSpreadNode():
                fragment = self._fragments[node.name.value]
                on = self._schema.type_map[fragment.type_condition.name.value]
                return self._selection(fragment.selection_set, on, rows)
            case InlineFragmentNode():
                condition = node.type_condition
                on = self._schema.type_map[condition.name.value] if condition else parent
                return self._selection(node.selection_set, on, rows)
            case FieldNode():
                return self._field(node, parent, rows)
            case _:
                return 0

    def _field(self, node: FieldNode, parent: GraphQLNamedType, rows: int) -> int:
        fields: Mapping[str, Any] = getattr(parent, "fields", {})
        if node.name.value not in fields:
            return 0
        kind = get_named_type(fields[node.name.value].type)
        if is_leaf_type(kind):
            return 0
        if node.name.value == "nodes":
            # Of a connection as many as its ``first``; of ids as many as are named.
            count = len(self._argument(node, "ids") or ()) if parent is self._schema.query_type else rows
            return count * (1 + self._selection(node.selection_set, kind, 1))
        first = self._argument(node, "first") if kind.name.endswith("Connection") else 1
        return 1 + self._selection(node.selection_set, kind, int(first if first is not None else NO_FIRST))

    def _argument(self, node: FieldNode, name: str) -> Any:
        for each in node.arguments or ():
            if each.name.value == name:
                if isinstance(each.value, VariableNode):
                    return self._variables.get(each.value.name.value)
                if isinstance(each.value, IntValueNode):
                    return int(each.value.value)
                return [None] * len(getattr(each.value, "values", ()))
        return None


def _objects(value: Any) -> int:
    count, waiting = 0, [value]
    while waiting:
        each = waiting.pop()
        if type(each) is dict:
            count += 1
            waiting.extend(each.values())
        elif type(each) is list:
            waiting.extend(each)
    return count
