"""VEX: what silences a vulnerability, and above all what does not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia import errors
from exuvia.observe.feeds import base, vex
from exuvia.observe.feeds.base import Release
from tests.observe.feeds.files import analysed, cyclonedx, openvex, read, says

CVE = "CVE-2026-0001"
LATER = "2026-11-22T00:00:00Z"


def values(release: Release) -> dict[str, str]:
    return {one.vulnerability: one.value for one in release.statements}


def test_not_affected_is_a_zero_from_the_earliest_moment_that_is_named() -> None:
    release = read("openvex", openvex(says(CVE, timestamp=LATER)))
    (only,) = release.statements
    assert (only.source, only.value, base.written(only.valid_from)) == ("vex", "0", "2026-11-20T00:00:00Z")
    assert only.details == {"status": "not_affected", "justification": "component_not_present"}
    assert only.notes == {"said": LATER}
    assert (release.document, release.version) == ("https://example.com/vex/1", "https://example.com/vex/1/1")


@pytest.mark.parametrize("status", ["affected", "under_investigation", "fixed"])
def test_nothing_else_silences(status: str) -> None:
    assert values(read("openvex", openvex(says(CVE, status)))) == {CVE: ""}


@pytest.mark.parametrize("state", ["exploitable", "in_triage", "resolved", "resolved_with_pedigree"])
def test_no_other_state_of_cyclonedx_silences(state: str) -> None:
    assert values(read("cyclonedx", cyclonedx(analysed(CVE, state)))) == {CVE: ""}


@pytest.mark.parametrize("state", ["not_affected", "false_positive"])
def test_states_of_cyclonedx_that_silence(state: str) -> None:
    release = read("cyclonedx", cyclonedx(analysed(CVE, state, published="2026-10-01T00:00:00Z")))
    (only,) = release.statements
    assert (only.value, base.written(only.valid_from)) == ("0", "2026-10-01T00:00:00Z")
    assert only.details == {"status": state, "justification": "code_not_reachable"}
    assert release.version == "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79/1"


@pytest.mark.parametrize("version", ["1.4", "1.5", "1.6"])
def test_versions_of_cyclonedx(version: str) -> None:
    assert values(read("cyclonedx", cyclonedx(analysed(CVE), specVersion=version))) == {CVE: "0"}


def test_a_statement_about_products_silences_nothing_unasked() -> None:
    text = openvex(says("CVE-2026-0009"), says(CVE, "not_affected", "pkg:oci/cart", "pkg:oci/shop", "pkg:oci/till"))
    with pytest.raises(errors.InvalidObject, match="for pkg:oci/cart, pkg:oci/shop and more only") as refused:
        read("openvex", text)
    assert text.splitlines()[int(refused.value.place.removeprefix("line ")) - 1].strip() == "{"
    assert "--product-scope all" in refused.value.remedy
    assert values(read("openvex", text, everywhere=True)) == {CVE: "0", "CVE-2026-0009": "0"}


@pytest.mark.parametrize(
    "vulnerability",
    [analysed(CVE, "not_affected", "pkg:oci/cart"), analysed(CVE) | {"affects": [{"ref": "urn:cdx:1#a"}]}],
)
def test_cyclonedx_names_products_by_what_it_affects(vulnerability: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidObject, match="scores count for all machines"):
        read("cyclonedx", cyclonedx(vulnerability))
    assert values(read("cyclonedx", cyclonedx(vulnerability), everywhere=True)) == {CVE: "0"}


def test_the_component_of_the_whole_document_is_a_product_too() -> None:
    metadata = {"timestamp": "2026-11-20T00:00:00Z", "component": {"bom-ref": "cart", "name": "Cart"}}
    with pytest.raises(errors.InvalidObject, match="for cart only"):
        read("cyclonedx", cyclonedx(analysed(CVE), metadata=metadata))


def test_what_is_about_products_but_silences_nothing_needs_no_asking() -> None:
    assert values(read("openvex", openvex(says(CVE, "affected", "pkg:oci/cart")))) == {CVE: ""}


@pytest.mark.parametrize("other", ["affected", "under_investigation", "fixed"])
def test_one_affected_product_is_enough(other: str) -> None:
    text = openvex(says(CVE, "not_affected", "pkg:oci/cart"), says(CVE, other, "pkg:oci/shop"))
    assert values(read("openvex", text, everywhere=True)) == {CVE: ""}


def test_the_last_word_about_a_product_counts() -> None:
    older, newer = says(CVE, "under_investigation", "p"), says(CVE, "not_affected", "p", timestamp=LATER)
    assert values(read("openvex", openvex(newer, older), everywhere=True)) == {CVE: "0"}
    assert values(
        read("openvex", openvex(says(CVE, "affected", "p", timestamp=LATER), says(CVE, "not_affected", "p")))
    ) == {CVE: ""}


@pytest.mark.parametrize("shape", [list, lambda one: one[0]], ids=["list", "object"])
@pytest.mark.parametrize("status", ["affected", "unknown"])
def test_a_version_that_is_affected_all_the_same_is_not_silenced(status: str, shape: Any) -> None:
    affects = [{"ref": "p", "versions": shape([{"version": "2.4", "status": status}])}]
    text = cyclonedx(analysed(CVE) | {"affects": affects})
    assert values(read("cyclonedx", text, everywhere=True)) == {CVE: ""}
    fine = cyclonedx(
        analysed(CVE) | {"affects": [{"ref": "p", "versions": [{"version": "1", "status": "unaffected"}]}]}
    )
    assert values(read("cyclonedx", fine, everywhere=True)) == {CVE: "0"}


def test_other_names_of_a_vulnerability_are_silenced_with_it() -> None:
    said = says(CVE) | {"vulnerability": {"name": CVE, "aliases": ["GHSA-a"]}}
    assert values(read("openvex", openvex(said))) == {CVE: "0", "GHSA-a": "0"}
    text = cyclonedx(analysed(CVE, references=[{"id": "SNYK-1", "source": {"name": "SNYK"}}]))
    assert values(read("cyclonedx", text)) == {CVE: "0", "SNYK-1": "0"}


def test_older_openvex_named_things_by_strings() -> None:
    said = says(CVE) | {"vulnerability": CVE, "products": ["pkg:oci/cart"]}
    text = openvex(said, version="1", **{"@context": "https://openvex.dev/ns"})
    assert values(read("openvex", text, everywhere=True)) == {CVE: "0"}


def test_subcomponents_are_part_of_what_is_meant() -> None:
    inner = [{"@id": "pkg:oci/cart", "subcomponents": [{"@id": "pkg:deb/zlib"}]}]
    text = openvex(says(CVE) | {"products": inner}, says(CVE, "affected", "pkg:oci/cart"))
    assert values(read("openvex", text, everywhere=True)) == {CVE: ""}
    named = openvex(says(CVE) | {"products": [{"identifiers": {"purl": "pkg:oci/till"}}]})
    with pytest.raises(errors.InvalidObject, match="for pkg:oci/till only"):
        read("openvex", named)


def test_what_was_not_analysed_states_nothing() -> None:
    release = read(
        "cyclonedx",
        cyclonedx({"id": CVE}, analysed("CVE-2026-0002"), analysed("CVE-2026-0003"), version=3),
        wanted={"CVE-2026-0002"},
    )
    assert (values(release), release.passed_over) == ({"CVE-2026-0002": "0"}, 2)


def test_a_document_without_any_time_needs_one() -> None:
    text = cyclonedx(analysed(CVE), metadata={})
    with pytest.raises(errors.InvalidObject, match="no time stands there") as refused:
        read("cyclonedx", text)
    assert "--valid-from" in refused.value.remedy
    since = base.moment("2026-01-01")
    (only,) = read("cyclonedx", text, valid_from=since).statements
    assert only.valid_from == since
    (only,) = read("openvex", openvex(says(CVE)), valid_from=since).statements
    assert only.valid_from == since


def test_a_document_without_a_number_is_known_by_its_file() -> None:
    release = read("cyclonedx", cyclonedx(analysed(CVE), serialNumber=None), document="cart.json")
    assert (release.document, release.version) == ("cart.json", "cart.json/1")


@pytest.mark.parametrize(
    ("feed", "text", "says_"),
    [
        ("openvex", "<html>", "web page"),
        ("openvex", "{}", "@context: the text is missing"),
        ("openvex", cyclonedx(analysed(CVE)), "@context: the text is missing"),
        ("openvex", openvex(says(CVE), **{"@context": "https://openvex.dev/ns/v9"}), "is none of"),
        ("openvex", openvex(says(CVE), version=True), "'True' is no version"),
        ("openvex", openvex(says(CVE), timestamp="now"), "timestamp: 'now' is no time"),
        ("openvex", openvex(says(CVE), timestamp=None), "neither the statement nor the document"),
        ("openvex", openvex(says(CVE, "harmless")), r"statements\[0\].status: 'harmless' is no status"),
        ("openvex", openvex(says("x" * 129)), "129 characters are too many"),
        ("openvex", openvex(says("CVE-\ud800")), "cannot be printed"),
        ("openvex", openvex(says("CVE-\0")), "cannot be printed"),
        ("openvex", openvex(says(CVE, justification="x" * 2049)), "2049 characters are too many"),
        ("openvex", openvex(says(CVE) | {"vulnerability": {}}), "vulnerability.name: the text is missing"),
        ("openvex", openvex(says(CVE) | {"vulnerability": {"name": CVE, "aliases": [1]}}), "no list of names"),
        ("openvex", openvex(says(CVE) | {"products": "p"}), "products: this is no list"),
        ("openvex", openvex(says(CVE) | {"products": [1]}), r"products\[0\]: this is no product"),
        ("openvex", openvex(says(CVE) | {"products": [{"subcomponents": 1}]}), "subcomponents: this is no list"),
        ("cyclonedx", openvex(says(CVE)), "bomFormat: 'nothing' is not 'CycloneDX'"),
        ("cyclonedx", cyclonedx(analysed(CVE), specVersion="2.0"), "specVersion: '2.0' is none of"),
        ("cyclonedx", cyclonedx(vulnerabilities=None), "vulnerabilities: the list is missing"),
        ("cyclonedx", cyclonedx(analysed(CVE, "harmless")), "'harmless' is no status"),
        ("cyclonedx", cyclonedx({"id": CVE, "analysis": []}), "analysis.state: the text is missing"),
        ("cyclonedx", cyclonedx({"id": CVE, "analysis": 1}), "analysis: this is no object"),
        ("cyclonedx", cyclonedx(analysed(CVE) | {"affects": [{}]}), "ref: the text is missing"),
    ],
)  # fmt: skip
def test_another_kind_of_file_is_refused(feed: str, text: str, says_: str) -> None:
    with pytest.raises(errors.InvalidObject, match=says_) as refused:
        read(feed, text)
    assert refused.value.place.startswith("line ") and refused.value.remedy


STATUSES = sorted({"not_affected", "affected", "fixed", "under_investigation"})
TIMES = st.sampled_from(["2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z", LATER])


@given(st.lists(st.tuples(st.sampled_from(STATUSES), st.sampled_from("pq"), TIMES), min_size=1, max_size=6))
def test_it_is_silenced_only_if_the_last_word_about_every_product_says_so(said: list[tuple[str, str, str]]) -> None:
    text = openvex(*(says(CVE, status, product, timestamp=at) for status, product, at in said))
    last = {product: status for status, product, _ in sorted(said, key=lambda one: one[2])}
    expected = "0" if set(last.values()) <= vex.CLEARING else ""
    assert values(read("openvex", text, everywhere=True)) == {CVE: expected}
