"""Answers the plain queries that clients send again and again, from a document worked through once.

Knows fields, arguments, fragments and lists of dictionaries. Whatever else a document asks for, and whatever goes
wrong in an answer, is left to graphql-core, which says the same or why not.
"""

from collections.abc import Callable, Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_leaf_type,
    value_from_ast,
)

Variables = Mapping[str, Any]
Finish = Callable[[Any, Variables], Any]
"""Makes of what a resolver gave what is answered."""
Arguments = list[tuple[str, str | None, Any]]
"""Names of arguments, the variables they come from, and their values where they come from none."""

PLAIN = {"ID": str, "String": str, "Int": int, "Boolean": bool}
"""What of each scalar is answered as it is."""


class NotPlain(Exception):
    """Something that only graphql-core answers rightly."""


class Query:
    """One query of a document, ready to be answered for any variables of plain types."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        """Raises NotPlain for what it does not know."""
        operations = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
        if (
            len(operations) != 1
            or operations[0].operation is not OperationType.QUERY
            or operations[0].directives
        ):
            raise NotPlain
        self._schema = schema
        self._fragments = {
            each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)
        }
        self._asked = {
            each.variable.name.value: _fits(each.type, each.default_value)
            for each in operations[0].variable_definitions or ()
        }
        assert schema.query_type is not None
        self._answer = self._object(operations[0].selection_set, schema.query_type)

    def answer(self, root: Mapping[str, Any], variables: Variables) -> dict[str, Any]:
        """The data of the answer. Raises NotPlain, with nothing changed, where there would be errors in it."""
        given = {}
        for name, fits in self._asked.items():
            value = variables.get(name)
            if not fits(value):
                raise NotPlain
            if value is not None or name in variables:
                given[name] = value
        try:
            data: dict[str, Any] = self._answer(root, given)
        except (GraphQLError, LookupError, TypeError, ValueError) as error:
            raise NotPlain from error
        return data

    def _object(self, chosen: SelectionSetNode, of: GraphQLObjectType) -> Finish:
        fields: list[tuple[str, str, Arguments, Finish]] = []
        for node in self._fields(chosen, of):
            key = node.alias.value if node.alias else node.name.value
            if any(key == other for other, *_ in fields):
                raise NotPlain  # two selections of one key would have to be merged
            if node.name.value == "__typename":
                fields.append((key, "", [], lambda _value, _given: of.name))
                continue
            field = of.fields[node.name.value]
            finish = self._finish(field.type, node.selection_set)
            fields.append((key, node.name.value, self._arguments(node, field), finish))

        def finish_object(source: Any, given: Variables) -> Any:
            if source is None:
                return None
            made = {}
            for key, name, arguments, finish in fields:
                value = source.get(name)
                if callable(value):
                    value = value(
                        None,
                        **{
                            wanted: known if variable is None else given[variable]
                            for wanted, variable, known in arguments
                            if variable is None or variable in given
                        },
                    )
                made[key] = finish(value, given)
            return made

        return finish_object

    def _fields(self, chosen: SelectionSetNode, of: GraphQLObjectType) -> list[FieldNode]:
        found: list[FieldNode] = []
        for each in chosen.selections:
            if each.directives:
                raise NotPlain
            match each:
                case FieldNode():
                    found.append(each)
                case FragmentSpreadNode():
                    fragment = self._fragments[each.name.value]
                    if self._fits(fragment.type_condition.name.value, of):
                        found += self._fields(fragment.selection_set, of)
                case InlineFragmentNode():
                    condition = each.type_condition
                    if condition is None or self._fits(condition.name.value, of):
                        found += self._fields(each.selection_set, of)
                case _:
                    raise NotPlain
        return found

    def _fits(self, condition: str, of: GraphQLObjectType) -> bool:
        return condition == of.name or any(condition == each.name for each in of.interfaces)

    def _arguments(self, node: FieldNode, field: GraphQLField) -> Arguments:
        given = {each.name.value: each.value for each in node.arguments or ()}
        found: Arguments = []
        for name, argument in field.args.items():
            value = given.get(name)
            if isinstance(value, VariableNode):
                found.append((name, value.name.value, None))
            elif value is not None:
                found.append((name, None, _literal(value, argument)))
        return found

    def _finish(self, kind: Any, chosen: SelectionSetNode | None) -> Finish:
        if isinstance(kind, GraphQLNonNull):
            inner = self._finish(kind.of_type, chosen)
            return _plainly(kind.of_type, inner) if is_leaf_type(kind.of_type) else _never_null(inner)
        if isinstance(kind, GraphQLList):
            each = self._finish(kind.of_type, chosen)
            return lambda value, given: None if value is None else [each(one, given) for one in value]
        if is_leaf_type(kind):
            return _leaf(kind)
        assert chosen is not None
        if isinstance(kind, GraphQLObjectType):
            return self._object(chosen, kind)
        if not isinstance(kind, GraphQLInterfaceType):
            raise NotPlain
        by_name = {each.name: self._object(chosen, each) for each in self._schema.get_possible_types(kind)}
        return lambda value, given: None if value is None else by_name[value["__typename"]](value, given)


def _fits(node: Any, default: ValueNode | None) -> Callable[[Any], bool]:
    """Whether a value, or none, is of a variable's type. Raises NotPlain for types that have to be coerced."""
    text = _written(node)
    kinds: dict[str, Callable[[Any], bool]] = {
        "Int": lambda value: type(value) is int and abs(value) < 2**31,
        "String": lambda value: type(value) is str,
        "ID": lambda value: type(value) is str,
        "[ID!]": lambda value: type(value) is list and all(type(each) is str for each in value),
    }
    known = kinds.get(text.removesuffix("!"))
    if known is None or default is not None:
        raise NotPlain
    return known if text.endswith("!") else lambda value: value is None or known(value)


def _written(node: Any) -> str:
    """A type as it is written in a document."""
    if hasattr(node, "type"):
        inner = _written(node.type)
        return f"[{inner}]" if node.kind == "list_type" else f"{inner}!"
    return str(node.name.value)


def _literal(value: ValueNode, argument: GraphQLArgument) -> Any:
    found = value_from_ast(value, argument.type)
    if any(isinstance(each, VariableNode) for each in (getattr(value, "values", None) or ())):
        raise NotPlain
    return found


def _never_null(finish: Finish) -> Finish:
    def checked(value: Any, given: Variables) -> Any:
        made = finish(value, given)
        if made is None:
            raise ValueError("null where there must be something")
        return made

    return checked


def _plainly(kind: Any, finish: Finish) -> Finish:
    """``_never_null`` of a leaf: most values are of its type already, and most of an answer is leaves."""
    plain, slowly = _plain_type(kind), _never_null(finish)
    return lambda value, given: value if type(value) is plain else slowly(value, given)


def _leaf(kind: Any) -> Finish:
    plain = _plain_type(kind)
    return lambda value, _given: value if value is None or type(value) is plain else kind.serialize(value)


def _plain_type(kind: Any) -> type | None:
    return PLAIN.get(get_named_type(kind).name) if isinstance(kind, GraphQLScalarType) else None
