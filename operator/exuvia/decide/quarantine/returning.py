"""A machine goes back to work: our marks go at once, then our labels, then the frozen copies, then the network opens.

No brake holds the first two, because they give back. Frozen copies are evicted like any pod: not under a brake.
"""

from __future__ import annotations

from datetime import datetime

from exuvia.decide.freezing import Treatment
from exuvia.decide.quarantine import asking, ending, evicting, isolating, marking
from exuvia.decide.quarantine.patching import EXUVIA, Patch, finished, just_began, waits
from exuvia.model import marks
from exuvia.model.actions import Action, LabelPod
from exuvia.model.pods import Pod
from exuvia.model.quarantine_views import QuarantineView
from exuvia.model.reasons import EndReason
from exuvia.model.steps import Look, Step


def give_back(view: QuarantineView, now: datetime) -> Step | None:
    """The next step of a Return; None while it must wait for something."""
    accepted = view.quarantine.status.release_accepted
    by = accepted.by if accepted else EXUVIA
    if asking.never_marked(view.quarantine):
        return ending.end(view, now, EndReason.RELEASED, "released before it was touched", by=by)
    found = _restore(view, now) or _unlabel(view, now) or _leave(view, now)
    if found is not None or outstanding(view):
        return found
    name = view.quarantine.spec.instance.name
    message = f"{name} is gone" if asking.gone(view) else f"{name} goes back to work"
    return ending.end(view, now, EndReason.RELEASED, f"{message}, by {by}", by=by)


def outstanding(view: QuarantineView) -> bool:
    """Whether something must still be given back, or is not known to be."""
    if view.collecting:
        return True
    if asking.gone(view):
        return Look.NODE not in view.fresh
    if view.instance is None or not finished(view.quarantine, asking.RESTORE) or Look.PODS not in view.fresh:
        return True
    return bool(_labelled(view) or frozen(view))


def _restore(view: QuarantineView, now: datetime) -> Step | None:
    if finished(view.quarantine, asking.RESTORE) or asking.unreadable(view, Look.NODE):
        return None
    if waits(view.quarantine, asking.RESTORE, now):
        return None
    lacking = asking.look(view, Look.NODE)
    if lacking:
        return lacking
    if view.instance is None:
        return None
    patch = Patch(view.quarantine, now).began(asking.RESTORE)
    return Step(name=asking.RESTORE, status=patch.body, actions=(marking.restore(view.quarantine),))


def _pods_needed(view: QuarantineView) -> Step | None:
    """The step that asks for a fresh list of pods, where there is a machine that may have some."""
    if asking.gone(view):
        return None if asking.unreadable(view, Look.NODE) else asking.look(view, Look.NODE)
    return None if asking.unreadable(view, Look.PODS) else asking.look(view, Look.PODS)


def _unlabel(view: QuarantineView, now: datetime) -> Step | None:
    """Take our label off pods that keep running here."""
    name = asking.UNLABEL
    if waits(view.quarantine, name, now) or just_began(view.quarantine, name, now):
        return None
    lacking = _pods_needed(view)
    if lacking:
        return lacking
    actions: tuple[Action, ...] = tuple(
        LabelPod(pod=isolating.target(pod), labels={marks.QUARANTINE_POD_LABEL: None}) for pod in _labelled(view)
    )
    if not actions or asking.gone(view) or Look.PODS not in view.fresh:
        return None
    return Step(name=name, status=Patch(view.quarantine, now).began(name).body, actions=actions)


def _labelled(view: QuarantineView) -> list[Pod]:
    uid = view.quarantine.uid
    treated = asking.treatments(view)
    bearing = [(pod, given) for pod, given in treated if pod.labels.get(marks.QUARANTINE_POD_LABEL) == uid]
    return [pod for pod, given in bearing if given is not Treatment.FROZEN]


def frozen(view: QuarantineView) -> list[Pod]:
    """Pods that lost their owner to the freezing, and so are of no use any more."""
    recorded = asking.recorded_treatments(view)
    copies = [pod for pod in view.pods or () if recorded.get(pod.uid) is Treatment.FROZEN and not pod.finished]
    return [pod for pod in copies if is_copy(pod)]


def is_copy(pod: Pod) -> bool:
    """Whether the freezing took effect: one that was only recorded still belongs to its owner."""
    return marks.QUARANTINE_POD_LABEL in pod.labels or pod.owner is None


def _leave(view: QuarantineView, now: datetime) -> Step | None:
    """Evict the frozen copies, wave by wave."""
    if asking.gone(view) or view.collecting:
        return None
    lacking = _pods_needed(view)
    if lacking:
        return lacking
    return evicting.wave(view, frozen(view), asking.LEAVE, now)
