"""YAML 1.2 for parameters: JSON's values alone, so that 010 is ten, 1:30 and yes are text, and no key counts twice."""

import json
import re

import yaml

# The core schema of YAML 1.2.2, section 10.3.2: what a plain scalar is taken for, in the order of the attempts.
CORE = {
    "null": r"null|Null|NULL|~|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
}


class Loader(yaml.SafeLoader):
    """PyYAML's loader, which follows YAML 1.1, with the scalars of 1.2."""

    yaml_implicit_resolvers = {}

    def whole_number(self, node) -> int:
        text = node.value
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))

    def construct_mapping(self, node, deep=False):
        keys = [repr(self.construct_object(key, deep=True)) for key, _ in node.value]
        if twice := [key for i, key in enumerate(keys) if key in keys[:i]]:
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice[0]} stands there twice",
                                                    node.start_mark)
        return super().construct_mapping(node, deep)


for name, pattern in CORE.items():
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(f"(?:{pattern})$"), None)
Loader.add_constructor("tag:yaml.org,2002:int", Loader.whole_number)


def load(text: str) -> object:
    """The value of a YAML text. Raises ValueError, with the line, for no YAML and for what JSON does not know."""
    try:
        value = yaml.load(text, Loader)
        if json.loads(json.dumps(value, allow_nan=False)) != value:
            raise ValueError("a key is no text")
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark and "\n" in text else ""
        raise ValueError(f"{line}{error.problem}") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"it holds what JSON does not know ({str(error).splitlines()[0]})") from None
    return value
