"""A file of another kind, packed in another way or written by another program says what it is, and what to do."""

from __future__ import annotations

import bz2
import io
import lzma
import zipfile

import pytest

from exuvia import errors
from tests.observe.feeds.files import analysed, cyclonedx, entry, epss, kev, openvex, read, says

CVE = "CVE-2026-0001"
NVD = '{"format": "NVD_CVE", "version": "2.0", "vulnerabilities": []}'
CSAF = '{"document": {"category": "csaf_vex", "csaf_version": "2.0"}, "vulnerabilities": []}'
ATTESTED = '{"predicateType": "https://openvex.dev/ns/v0.2.0", "predicate": {}}'


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("epss.csv", epss())
    return packed.getvalue()


@pytest.mark.parametrize(
    ("feed", "text", "says_", "remedy"),
    [
        ("kev", cyclonedx(analysed(CVE)), "catalogVersion", "This looks like CycloneDX: import it as `cyclonedx`."),
        ("kev", openvex(says(CVE)), "catalogVersion", "This looks like OpenVEX: import it as `openvex`."),
        ("cyclonedx", kev(entry(CVE)), "bomFormat", "This looks like KEV: import it as `kev`."),
        ("openvex", NVD, "@context", "This looks like the NVD's: import it as `cvss`."),
        ("openvex", CSAF, "@context", "This looks like CSAF, which exuvia does not read"),
        ("openvex", ATTESTED, "@context", "This is an attestation: import what stands in its `predicate`"),
        ("cyclonedx", cyclonedx(specVersion="1.9"), "'1.9' is none of", "how a CycloneDX document is now, update"),
        ("kev", epss(), "this is no JSON, it begins with '#model_version", "name the right kind of feed"),
        ("epss", kev(entry(CVE)), "this is JSON", "Fetch epss_scores-current.csv.gz again."),
        ("epss", epss().replace(",", ";"), "no line '#model_version", "Fetch epss_scores-current.csv.gz again."),
        ("epss", epss().replace("cve,epss,", "cve;epss;"), "separated by ';'", "Write it with commas."),
        ("cvss", "vulnerability;score;published\nA;1;2026-01-01\n", "separated by ';'", "Write it with commas."),
        ("cvss", "vulnerability\tscore\tpublished\n", r"separated by '\t'", "Write it with commas."),
        ("epss", zipped(), "this is packed as zip, and only gzip is read", "Unpack it first."),
        ("epss", bz2.compress(epss().encode()), "this is packed as bzip2", "Unpack it first."),
        ("epss", lzma.compress(epss().encode()), "this is packed as xz", "Unpack it first."),
        ("cvss", "vulnerability,score\n".encode("utf-16"), "this is no UTF-8 text", "write one of your own as UTF-8."),
    ],
)  # fmt: skip
def test_it_is_named_with_its_line_and_a_remedy(feed: str, text: str | bytes, says_: str, remedy: str) -> None:
    with pytest.raises(errors.InvalidObject) as caught:
        read(feed, text)
    assert says_ in caught.value.message and remedy in caught.value.remedy
    assert caught.value.place.startswith("line ")


def test_a_header_of_epss_may_say_more() -> None:
    text = epss({CVE: "0.5"}).replace("12:55:00Z\n", "12:55:00Z,generated:2026-11-24\n")
    assert [one.value for one in read("epss", text).statements] == ["0.5"]
