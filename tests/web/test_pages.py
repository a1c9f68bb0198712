from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from yizhan.app_control import admin_router
from yizhan.web.apidocs import described, operations, words
from yizhan.web.apidocs_zh import CHINESE
from yizhan.web.apiexamples import ASKED

RELAY = {"/v1/chat/completions", "/v1/models", "/v1/models/{model_id}", "/healthz", "/readyz"}


@pytest.fixture(scope="module")
def schemas() -> dict[str, dict[str, Any]]:
    return described(admin_router())


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_description_is_valid_openapi_3_1(schemas: dict[str, dict[str, Any]], lang: str) -> None:
    assert schemas[lang]["openapi"].startswith("3.1")
    validate(schemas[lang])


def test_every_admin_and_relay_route_is_described(schemas: dict[str, dict[str, Any]]) -> None:
    served = {re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path) for route in admin_router().routes}
    assert set(schemas["en"]["paths"]) == served | RELAY


def test_every_body_has_an_example(schemas: dict[str, dict[str, Any]]) -> None:
    with_body = [each["operationId"] for each in operations(schemas["en"]) if "requestBody" in each]
    assert sorted(with_body) == sorted(ASKED)


def test_every_text_is_there_in_chinese_and_no_chinese_is_left_over(schemas: dict[str, dict[str, Any]]) -> None:
    said = set(words(schemas["en"]))
    assert said - CHINESE.keys() == set()
    assert CHINESE.keys() - said == set()


def test_the_described_parameters_are_the_callers_only(schemas: dict[str, dict[str, Any]]) -> None:
    names = {one["name"] for each in operations(schemas["en"]) for one in each.get("parameters", [])}
    assert names.isdisjoint({"office", "person", "doorkeeper", "request"})


def test_the_description_is_served_in_both_languages(control_url: str) -> None:
    english = httpx.get(f"{control_url}/openapi.json").json()
    chinese = httpx.get(f"{control_url}/openapi.json?lang=zh").json()
    assert english["paths"].keys() == chinese["paths"].keys()
    assert chinese["paths"]["/v1/models"]["get"]["summary"] == "列出可用模型"
    assert httpx.get(f"{control_url}/openapi.json?lang=fr").status_code == 400


def test_the_references_policy_lets_it_talk_to_us_alone(control_url: str) -> None:
    answer = httpx.get(f"{control_url}/docs/api")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self';" in policy
    assert "http" not in policy
    nonce = re.findall(r"'nonce-([0-9a-f]{32})'", policy)[0]
    assert f'nonce="{nonce}"' in answer.text
    assert nonce not in httpx.get(f"{control_url}/docs/api").text


def test_the_landing_page_says_where_to_go(control_url: str) -> None:
    answer = httpx.get(control_url)
    assert f"{control_url}/v1" in answer.text
    assert "/docs/api" in answer.text


@pytest.mark.parametrize(
    "name", ["nope.js", "../pages.py", "..%2fpages.py", "scalar/../../pages.py", "%2e%2e/pages.py"]
)
def test_only_listed_files_are_given_out(control_url: str, name: str) -> None:
    answer = httpx.get(f"{control_url}/static/{name}")
    assert answer.status_code in (400, 404)
    assert "import" not in answer.text
