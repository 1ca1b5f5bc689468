"""What a new leader recalls of what stands open: of living machines of its own cluster, as last recorded."""

from __future__ import annotations

from typing import Any

from exuvia.model import facts
from exuvia.model.facts import GapKind
from exuvia.record import standing
from exuvia.record.places import Place
from exuvia.record.standing import Placed, Present, Scored
from tests.record import world
from tests.record.world import at, written

READY = GapKind.NOT_READY


def presence(uid: str, id_: str, since: float, until: float | None = None, **more: Any) -> facts.Fact:
    ended = None if until is None else at(until)
    return facts.presence(uid=uid, vulnerability=id_, began=at(since), ended=ended, **more)


def test_freezes_and_gaps_that_are_open(place: Place) -> None:
    told = [
        *(world.birth(uid) for uid in ("A", "B", "D")),
        facts.frozen(uid="A", began=at(1)),
        facts.frozen(uid="B", began=at(1)),
        facts.frozen(uid="B", began=at(1), ended=at(2)),
        *(facts.gap(uid=uid, what=READY, began=at(1)) for uid in ("A", "B", "D")),
        facts.gap(uid="B", what=READY, began=at(1), ended=at(2)),
        facts.gap(uid="B", what=GapKind.LEASE, began=at(3)),
        world.death("D", 9),
    ]
    with written(place, *told) as connection:
        assert standing.freezes(connection, "c") == {"A": at(1)}
        assert standing.froze(connection, ["A", "B", "D"]) == {("A", at(1)), ("B", at(1))}
        assert standing.gaps(connection, "c") == {("A", READY): at(1), ("B", GapKind.LEASE): at(3)}
        assert standing.freezes(connection, "other") == {} == standing.gaps(connection, "other")


def test_vulnerabilities_that_are_open_with_what_brought_them(place: Place) -> None:
    told = [
        *(world.birth(uid) for uid in ("A", "B", "D")),
        presence("A", "CVE-1", 5, image="sha256:1", workload="shop/Deployment/cart/app"),
        presence("A", "CVE-1", 2),
        presence("A", "CVE-2", 1),
        presence("A", "CVE-2", 1, 3, closed="patched"),
        presence("B", "CVE-1", 1, 3, closed="unknown"),
        presence("D", "CVE-1", 1),
        world.death("D", 9),
    ]
    with written(place, *told) as connection:
        assert standing.presences(connection, "c", "A") == {"CVE-1": Present(vulnerability="CVE-1", began=at(2))}
        assert standing.presences(connection, "c", "B") == {}
        assert standing.vulnerable(connection, "c") == {"A"}
    brought = Present(vulnerability="CVE-1", began=at(5), image="sha256:1", workload="shop/Deployment/cart/app")
    with written(place, presence("A", "CVE-1", 2, 4)) as connection:
        assert standing.presences(connection, "c", "A") == {"CVE-1": brought}


def test_pods_with_their_images_as_they_were_told_last_and_when_images_left(place: Place) -> None:
    pod = {"uid": "1", "namespace": "shop", "name": "cart", "images": ["cart@sha256:1"]}
    told = [
        world.birth("A"),
        world.placement("1", "A", "from", 1, images=[]),
        facts.stay(pod=pod, instance="A", began=at(1)),
        world.placement("2", "A", "from", 1, images=["db@sha256:2"]),
        world.placement("2", "A", "to", 4),
        world.placement("3", "A", "from", 2, images=["db@sha256:2"]),
        world.placement("3", "A", "to", 6),
    ]
    with written(place, *told) as connection:
        assert standing.placements(connection, "c") == {
            "1": Placed(instance="A", began=at(1), images=("cart@sha256:1",))
        }
        assert standing.left(connection, "A") == {"db@sha256:2": at(6)}


def test_whose_life_is_known_and_when_a_name_was_free(place: Place) -> None:
    told = [
        world.birth("A", name="w"),
        world.death("A", 5),
        world.birth("B", 5, name="w"),
        world.death("B", 8),
        world.birth("C", 1, name="x"),
    ]
    with written(place, *told) as connection:
        assert standing.known(connection, ["A", "C", "nobody"]) == {"A", "C"}
        assert standing.freed(connection, ["w", "x", "y"]) == {"w": at(8)}


def test_scores_of_one_source(place: Place) -> None:
    def score(source: str, value: str, since: float) -> facts.Fact:
        more = {"source": source, "value": value, "basis": "intrinsic"}
        return facts.score(vulnerability="CVE-1", valid_from=at(since), **more)

    with written(place, score("trivy", "5.0", 1), score("trivy", "9.8", 3), score("cvss", "1.0", 5)) as connection:
        assert standing.scores(connection, "trivy") == {"CVE-1": Scored(value="9.8", valid_from=at(3))}
