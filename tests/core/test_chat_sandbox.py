"""Chat templates that mean harm: each ends with one clear error, soon, and having run nothing."""

from __future__ import annotations

import sys
import time

import jinja2
import pytest

from dovetail.errors import TemplateError
from dovetail.tokenizers import metering
from dovetail.tokenizers.templates import render

MESSAGES = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]

ESCAPES = {
    "class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals": "{{ raise_exception.__globals__['os'] }}",
    "builtins": "{{ cycler.__init__.__globals__.os.system('true') }}",
    "format": "{{ '{0.__class__}'.format(messages) }}{{ ''.__class__() }}",
    "format_map": "{{ '{x.__init__}'.format_map({'x': messages}).foo.bar }}{{ ''.__class__() }}",
    "attr": "{{ messages|attr('__class__') }}",
    "map": "{{ messages|map(attribute='__class__')|list }}{{ ''.__class__() }}",
    "import": "{% import 'os' as os %}",
    "include": "{% include '/etc/passwd' %}",
    "extends": "{% extends 'base' %}",
    "append": "{{ messages.append(1) }}",
    "update": "{{ messages[0].update({'role': 'system'}) }}",
    "pop": "{{ messages.pop() }}",
    "setitem": "{% set messages[0] = 1 %}",
    "environment": "{{ self._TemplateReference__context.environment }}{{ ''.__class__() }}",
    "frame": "{{ (messages|map('upper')).gi_frame.f_globals }}{{ ''.__class__() }}",
    "lipsum": "{{ lipsum.__globals__ }}",
    "encode": "{{ 'x'.encode('utf-8') }}",
    "bytes": "{{ (1).to_bytes(10, 'big') }}",
    "keep": "{{ messages.__init_subclass__ }}{{ ''.__class__() }}",
}

ENDLESS = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "tree": (
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}"
    ),
    "recursive": (
        "{% for x in [1, 1] recursive %}{{ loop([1, 1]) if loop.depth < 60 }}{% endfor %}"
    ),
    "filtered": (
        "{% for a in range(99999) if a < 0 %}{% endfor %}" * 3
        + "{% for a in range(99999) %}{% for b in range(99999) if false %}{% endfor %}{% endfor %}"
    ),
    "tests": (
        "{% for a in range(99999) %}"
        "{{ range(99999)|select('divisibleby', 99998)|list }}{% endfor %}"
    ),
    "maps": "{% for a in range(99999) %}{{ range(99999)|map('string')|first }}"
    "{{ range(99999)|sum }}{% endfor %}",
    "power": "{% set ns = namespace(x=2) %}{% for i in range(90) %}"
    "{% set ns.x = ns.x ** 7 %}{% endfor %}{{ ns.x }}",
    "tower": "{{ 9 ** (9 ** 9) }}",
    "squares": "{% set ns = namespace(x=3) %}{% for i in range(90) %}"
    "{% set ns.x = ns.x * ns.x %}{% endfor %}{{ ns.x }}",
    "hex": "{% set x = ('f' * 3000000)|int(base=16) %}{{ x % (x // 3) }}",
    "tags": "{{ ('<!---->' * 500000)|striptags }}",
    "tags_method": "{{ (('<!---->' * 90000)|e).striptags() }}",
    "sort": "{% for a in range(99999) %}{{ (range(99999)|sort(reverse=true))[0] }}{% endfor %}",
    "slices": "{% for a in range(99999) %}{{ (range(99999)|list)[::-1][0] }}{% endfor %}",
    "equality": "{% set ns = namespace(a=[], b=[]) %}{% for i in range(90) %}"
    "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
    "caller": "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}"
    + "{% call m() %}" * 40
    + "x"
    + "{% endcall %}" * 40,
}

HUGE = {
    "product": "{{ 'x' * 10 ** 12 }}",
    "product_right": "{{ 10 ** 12 * 'x' }}",
    "list_product": "{{ [0] * 10 ** 10 }}",
    "doubling": "{% set ns = namespace(x='xxxxxxxx') %}{% for i in range(60) %}"
    "{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "tilde": "{% set ns = namespace(x='xxxxxxxx') %}{% for i in range(60) %}"
    "{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "output": "{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}",
    "text": "{% for i in range(99999) %}" + "x" * 1000 + "{% endfor %}",
    "nested_text": "{% set y %}{% for i in range(99999) %}"
    + "x" * 5000
    + "{% endfor %}{% endset %}",
    "macro_text": "{% macro m() %}{% for i in range(99999) %}"
    + "x" * 5000
    + "{% endfor %}{% endmacro %}{{ m() }}",
    "center": "{{ 'x'.center(10 ** 10) }}",
    "center_filter": "{{ 'x'|center(10 ** 10) }}",
    "ljust": "{{ 'x'.ljust(2000000000) }}",
    "zfill": "{{ 'x'.zfill(2000000000) }}",
    "tabs": "{{ ('\t' * 1000000).expandtabs(900000) }}",
    "format_width": "{{ '{:>2000000000}'.format('x') }}",
    "format_nested": "{{ ('{:{}}' * 1000).format(*([1, 900000] * 1000)) }}",
    "format_inner": "{{ '{1:{0[w]}}'.format({'w': 2000000000}, 'x') }}",
    "format_mapping": "{{ '{a:{w}}'.format_map({'w': 2000000000, 'a': 1}) }}",
    "percent_width": "{{ '%2000000000s' % 'x' }}",
    "percent_star": "{{ '%*s' % (2000000000, 'x') }}",
    "percent_filter": "{{ '%2000000000s'|format('x') }}",
    "replace": "{{ ('x' * 1000000).replace('', 'y' * 1000000) }}",
    "replace_filter": "{{ ('x' * 1000000)|replace('x', 'y' * 1000000) }}",
    "join": "{{ ('y' * 1000000).join('x' * 1000000) }}",
    "join_filter": "{{ range(99999)|join('y' * 1000000) }}",
    "indent": "{{ ('\n' * 1000000)|indent(900000) }}",
    "indent_text": "{{ ('\n' * 1000000)|indent('x' * 1000000) }}",
    "batch": "{{ [1]|batch(10 ** 10, 'x')|list }}",
    "batches": "{{ [1]|batch(1000000, 'x' * 1000000)|list }}",
    "slice": "{{ [1]|slice(10 ** 10)|list }}",
    "nested_lists": "{% set ns = namespace(x=[]) %}{% for i in range(90) %}"
    "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    "nested_dicts": "{% set ns = namespace(x={}) %}{% for i in range(90) %}"
    "{% set ns.x = {'a': ns.x, 'b': ns.x} %}{% endfor %}{{ ns.x|tojson }}",
    "nested_tuples": "{% set ns = namespace(x=()) %}{% for i in range(90) %}"
    "{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ ns.x|unique|list }}",
    "nested_batches": "{% set ns = namespace(x=[1]) %}{% for i in range(90) %}"
    "{% set ns.x = ns.x|batch(2, ns.x)|list %}{% endfor %}{{ ns.x|string }}",
    "nested_calls": "{% set ns = namespace(x={}) %}{% for i in range(90) %}"
    "{% set ns.x = dict(a=ns.x, b=ns.x) %}{% endfor %}{{ ns.x }}",
    "json_indent": "{{ range(9999)|list|tojson(indent=900000) }}",
    "strings_kept": "{{ range(99999)|map('center', 900000)|list|length }}",
    "list_sum": "{{ (range(99999)|batch(1))|sum(start=[])|length }}",
    "time": "{{ strftime_now('%999999999Y') }}",
    "times": "{{ strftime_now('%c' * 1000000) }}",
    "translate": "{{ ('x' * 1000000).translate({120: 'y' * 1000000}) }}",
    "wordwrap": "{{ ('x ' * 100000)|wordwrap(1, wrapstring='y' * 100000) }}",
    "namespace_cycle": "{% set ns = namespace() %}{% set ns.x = [ns, ns] %}{{ ns.x * 10 ** 9 }}",
}

INVALID = {
    "syntax": "{% for %}",
    "unclosed": "{% if true %}",
    "filter": "{{ 1|nosuchfilter }}",
    "type": "{{ 1 + 'a' }}",
    "division": "{{ 1 // 0 }}",
    "undefined": "{{ nothing.at.all }}",
    "nesting": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "blocks": "{% if 1 %}" * 5000,
    "lists": "{{ " + "[" * 300 + "]" * 300 + " }}",
    "length": "x" * (2**16 + 1),
    "raise": "{{ raise_exception('roles must alternate') }}",
}


def refused(template: str) -> str:
    start = time.process_time()
    with pytest.raises(TemplateError) as caught:
        render(template, {"messages": MESSAGES, "add_generation_prompt": True})
    assert time.process_time() - start < 3
    assert isinstance(caught.value, jinja2.TemplateError)
    assert isinstance(caught.value, ValueError)
    return str(caught.value)


@pytest.mark.parametrize("name", ESCAPES)
def test_the_sandbox_has_no_way_out(name: str) -> None:
    events: list[str] = []
    watching = True

    def watch(event: str, _: tuple) -> None:
        if watching and event in ("open", "import", "exec", "os.system", "subprocess.Popen"):
            events.append(event)

    with pytest.raises(TemplateError):  # compiling once may import what Jinja needs
        render(ESCAPES[name], {"messages": MESSAGES})
    sys.addaudithook(watch)
    refused(ESCAPES[name])
    watching = False
    assert not {"os.system", "subprocess.Popen", "open"} & set(events)


@pytest.mark.parametrize("name", ENDLESS)
def test_endless_work_is_stopped(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "SECONDS", 0.15)
    assert "template" in refused(ENDLESS[name])


def test_a_second_is_enough() -> None:
    assert "after 1 s of processor time" in refused(ENDLESS["loops"])


@pytest.mark.parametrize("name", HUGE)
def test_huge_values_are_refused_before_they_are_made(name: str) -> None:
    refused(HUGE[name])


@pytest.mark.parametrize("name", INVALID)
def test_invalid_templates_are_one_kind_of_error(name: str) -> None:
    refused(INVALID[name])


def test_messages_cannot_be_changed() -> None:
    before = [dict(message) for message in MESSAGES]
    for template in ESCAPES.values():
        with pytest.raises(TemplateError):
            render(template, {"messages": MESSAGES})
    assert before == MESSAGES


def test_a_failing_template_names_its_line() -> None:
    assert "line 2" in refused("first\n{% nonsense %}")


def test_the_template_own_refusal_is_passed_on() -> None:
    assert refused(INVALID["raise"]) == "roles must alternate"


def test_large_numbers_are_no_attack() -> None:
    template = (
        "{{ '%d' % now }} {{ '{} {:,}'.format(now, now) }} {{ '%d'|format(now) }} "
        "{{ now is gt(1600000000) }} {{ [now]|select('gt', 1600000000)|list }} "
        "{{ missing|default(1700000000) }} {{ now * 1000 }} {{ now // 86400 }} {{ 'a-%s' % now }} "
        "{{ '{{{}: {:>3}}}'.format('b', 1) }}"
    )
    text, _ = render(template, {"now": 1700000000})
    assert text == (
        "1700000000 1700000000 1,700,000,000 1700000000 True [1700000000] 1700000000 "
        "1700000000000 19675 a-1700000000 {b:   1}"
    )


def test_long_conversations_are_no_attack() -> None:
    messages = [{"role": "user", "content": "word " * 400} for _ in range(2000)]
    template = (
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
        "{{ '<|' ~ m.role ~ '|>' + m['content']|trim + '\\n' }}"
        "{% if loop.last and add_generation_prompt %}<|assistant|>{% endif %}{% endfor %}"
    )
    text, _ = render(template, {"messages": messages, "add_generation_prompt": True})
    assert len(text) > 2000 * 1999
