"""Conversations, chat templates and tools; read by the golden script and by the tests.

Imports nothing but the standard library, for both environments use it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Dict, List, Optional, Tuple, Union  # noqa: UP035 - hints as users write them

CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello world, who are you?  "},
    {"role": "assistant", "content": "The quick brown fox."},
    {"role": "user", "content": "And <now>?\n\"Quoted\" & 'this' — 日本語"},
]
CALLS = [
    {"role": "user", "content": "What is the weather?"},
    {
        "role": "assistant",
        "tool_calls": [
            {
                "type": "function",
                "function": {"name": "weather", "arguments": {"city": "Zürich", "days": 2}},
            }
        ],
    },
    {"role": "tool", "name": "weather", "content": "22 °C"},
]
DOCUMENTS = [
    {"title": "One", "text": "First document."},
    {"title": "Two", "text": "Second <document>."},
]

MARKED = """{% for message in messages %}
    {%- if loop.first and message['role'] != 'system' %}
        {{- '<|system|>\\nYou help.</s>\\n' }}
    {%- endif %}
    {{- '<|' + message['role'] + '|>\\n' + message['content'] | trim + eos }}
{% endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"""
INSTRUCT = """{{ bos }}{% if messages[0]['role'] == 'system' %}
{% set system = messages[0]['content'] %}{% set rest = messages[1:] %}
{% else %}{% set system = false %}{% set rest = messages %}{% endif %}
{% for message in rest %}
  {% if (message.role == 'user') != (loop.index0 % 2 == 0) %}
    {{ raise_exception('roles must alternate') }}
  {% endif %}
  {% if loop.index0 == 0 and system %}
    {% set content = '<<SYS>>\\n' ~ system ~ '\\n<</SYS>>\\n\\n' ~ message.content %}
  {% else %}
    {% set content = message.content %}
  {% endif %}
  {%- if message.role == 'user' %}{{ '[INST] ' ~ content.strip() ~ ' [/INST]' }}
  {%- elif message.role == 'assistant' %}{{ ' ' ~ content.strip() ~ ' ' ~ eos }}{% endif -%}
{% endfor %}"""
TOOLS = """{%- macro describe(tool) -%}
{{ tool.function.name }}({% for name, schema in tool.function.parameters.properties.items() -%}
{{ name }}: {{ schema.type if schema.type is string else schema.type | join('|') }}
{%- if name not in tool.function.parameters.get('required', []) %} = ?{% endif %}
{%- if not loop.last %}, {% endif %}{%- endfor %})
{%- endmacro %}
{%- if tools is not none and tools %}
Tools:
{% for tool in tools %}{{ describe(tool) }}
{{ tool | tojson(indent=2) }}
{{ tool | tojson }}
{% endfor %}{% endif %}
{%- for message in messages %}
{%- if message.tool_calls is defined and message.tool_calls %}
{%- for call in message.tool_calls %}<call>{{ call.function | tojson }}</call>{% endfor %}
{%- else %}[{{ message.role | upper }}] {{ message['content'] }}
{% endif %}{%- endfor %}"""
RETRIEVAL = """{% for document in documents %}
{{ loop.index }}/{{ loop.length }}. {{ document['title'] | title }}:
{{ document.text | replace('<', '[') }}
{% else %}
none
{% endfor %}{{ messages[-1].content }}"""
FEATURES = """{% set ns = namespace(count=0, last=none) %}
{% for message in messages if message.role != 'system' %}
{% if message.role == 'assistant' %}{% continue %}{% endif %}
{% set ns.count = ns.count + 1 %}{% set ns.last = message %}
{{ loop.index }} {{ loop.revindex }} {{ loop.first }} {{ loop.last }} {{ loop.previtem is defined }}
{{ message.content | length }} {{ message.content[:5] }} {{ message.content.split(' ')[-1] }}
{% if ns.count >= 2 %}{% break %}{% endif %}
{% endfor %}
{{ ns.count }} {{ ns.last.role }} {{ [1, 2, 3] | sum }} {{ 7 // 2 }} {{ 2 ** 5 }} {{ 7 % 3 }}
{{ messages | map(attribute='role') | join(', ') }}
{{ messages | selectattr('role', 'equalto', 'user') | list | length }}
{{ messages | rejectattr('role', 'equalto', 'user') | map(attribute='content') | first }}
{{ {'b': 1, 'a': [1, 'x', none, true]} }} {{ {'b': 1, 'a': 2} | dictsort }}
{{ (1, 2) }}
{{ 'a-b-c'.replace('-', '+') }} {{ 'abc'.center(9) }}| {{ '%s: %03d' % ('n', 7) }}
{{ '{}-{:>4}'.format(1, 2) }}
{{ 'x' * 3 }} {{ 'line\nline' | indent(2) }} {{ 'a b' | title }}
{{ '  t ' | trim }} {{ 'A' | lower }}
{{ undefined_name }} {{ undefined_name is defined }} {{ undefined_name or 'default' }}
{{ none }} {{ 1.5 | round | int }} {{ '3' | int + 1 }} {{ [3, 1, 2] | sort }}
{{ [1, 2, 3][::-1] }}
{{ 'abc' in 'xabcx' }} {{ 'user' == messages[1].role }} {{ messages[0] | tojson }}
{% set block %}captured {{ ns.count }}{% endset %}{{ block | upper }}
{{ '<&"' | e }} {{ [1, 2, 3, 4] | batch(3) | list }} {{ 'x' ~ 1 ~ none }}
{{ cycler('a', 'b').next() }}
{% filter upper %}filtered{% endfilter %} {{ range(3) | list }} {{ dict(a=1) }}
{{ 'a,b'.split(',') }}
{# a comment #}{% raw %}{{ raw }}{% endraw %}"""
GENERATION = """{% for message in messages %}
{% if message.role == 'assistant' %}
{% generation %}{{ message.content }} and nobody minds.{% endgeneration %}

{% else %}
{{ message.role }}: {{ message.content }}
{% endif %}
{% endfor %}"""


def weather(city: str, days: int = 1, unit: str = "c") -> str:
    """
    Looks the weather up.

    Args:
        city: The city, for instance "Zürich".
        days: For how many days
            from now on.
        unit: The unit. (choices: ["c", "f"])

    Returns:
        The weather in words.
    """


def many_types(
    numbers: List[int],  # noqa: UP006
    table: Dict[str, float],  # noqa: UP006
    either: Union[int, str],  # noqa: UP007
    point: Tuple[int, float] = (0, 0.0),  # noqa: UP006
    maybe: Optional[str] = None,  # noqa: UP045
    flags: list[bool] = [],  # noqa: B006
    anything: Any = None,
    mixed: Optional[Union[int, List[str]]] = None,  # noqa: UP006, UP007, UP045
    plain: dict = {},  # noqa: B006
) -> Optional[Dict[str, int]]:  # noqa: UP006, UP045
    """Takes a lot
    of types.

    Args:
        numbers: Some numbers.
        table: A table.
        either: One or the other.
        point: A point.
        maybe: Perhaps a text.
        flags: Flags.
        anything: What you like.
        mixed: Mixed.
        plain: An object.

    Returns:
        A table: or nothing.

    Raises:
        ValueError: never.
    """


def nothing() -> None:
    """Does nothing at all"""


FUNCTIONS: tuple[Callable[..., Any], ...] = (weather, many_types, nothing)
_TOKENS = {"bos": "<s>", "eos": "</s>"}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "marked": (MARKED, {"conversation": CONVERSATION, **_TOKENS}),
    "prompted": (
        MARKED,
        {"conversation": CONVERSATION[1:], "add_generation_prompt": True, **_TOKENS},
    ),
    "several": (MARKED, {"conversation": [CONVERSATION, CONVERSATION[1:2]], **_TOKENS}),
    "continued": (
        MARKED,
        {"conversation": CONVERSATION[:3], "continue_final_message": True, **_TOKENS},
    ),
    "instruct": (INSTRUCT, {"conversation": CONVERSATION, **_TOKENS}),
    "tools": (TOOLS, {"conversation": CALLS, "tools": "functions"}),
    "no tools": (TOOLS, {"conversation": CALLS}),
    "documents": (RETRIEVAL, {"conversation": CONVERSATION, "documents": DOCUMENTS}),
    "no documents": (RETRIEVAL, {"conversation": CONVERSATION, "documents": []}),
    "features": (FEATURES, {"conversation": CONVERSATION}),
    "generation": (GENERATION, {"conversation": CONVERSATION}),
}


def with_functions(options: dict[str, Any]) -> dict[str, Any]:
    """`options` with the functions themselves as tools."""
    return {
        key: list(FUNCTIONS) if value == "functions" else value for key, value in options.items()
    }
