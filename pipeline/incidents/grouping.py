"""Anomalies of the scopes of a shard to incidents: joined, held back, opened, told of, resolved, opened again.

Guarantee: what comes out depends only on the anomalies in event-time order, and on what people said up to each; timers
fire at their exact event time, no matter how far the watermark jumps. Ids are made from the first member; every member
says by what it joined. An anomaly that was filtered out as a false one, or whose owner's budget is spent, joins an
incident but starts none. An incident whose members are all held back by silences or maintenance windows is not shown
until one of them is free; so is one of a kind whose past says that nobody need be told (``usual_trouble``), until it is
worse. Alerts of others open an incident only when they weigh enough together. Each of these is told, with its reason.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from pipeline.incidents import bouts, bridging, flapping, joining, obeying, remembering, telling, withdrawing
from pipeline.incidents.alike import Texts
from pipeline.incidents.course import Pause
from pipeline.incidents.evidence import Evidence
from pipeline.incidents.history import ENDED, History
from pipeline.incidents.impact import Impact
from pipeline.incidents.open_incident import Open, place_of
from pipeline.incidents.ordered import Ordered
from pipeline.incidents.over import Over, Past
from pipeline.incidents.owner_budget import OwnerBudget, Saved
from pipeline.incidents.quieted import Quieted
from pipeline.incidents.rarity import RareAlerts, Verdict
from pipeline.incidents.telling import NOBODY, Because
from pipeline.incidents.usual_trouble import Habits
from pipeline.policies.control import SaidControl
from pipeline.records import NO_TIME, Anomaly, Candidate, Happened, Incident, Member, Suppression

_ENDED = Because(close_reason=ENDED)


class Causes(Protocol):
    """Where an incident starts."""

    def of(self, scope: str, members: Collection[Member], onset_us: int) -> tuple[Candidate, ...]: ...


class Grouping:
    """Incidents of a shard. ``join_us``: how far onsets may lie apart; ``resolve_us``: quiet before the end;
    ``reopen_us``: how long after it one comes back with its signals instead of a new one; ``stepped_us``: up to when
    the saved parts have been stepped.

    ``suppressed`` are transitions of anomalies that would have started an incident or been told of and were not, in
    their order, and ``refused`` why orders of people could not be carried out; whoever takes them clears them.
    """

    def __init__(
        self,
        join_us: int,
        resolve_us: int,
        opened: Iterable[Open] = (),
        budgets: Iterable[Saved] = (),
        evidence: Iterable[Happened] = (),
        *,
        reopen_us: int = 0,
        over: Iterable[Over] = (),
        settled: Iterable[str] = (),
        graph: joining.Graph | None = None,
        causes: Causes | None = None,
        rare: RareAlerts | None = None,
        history: History | None = None,
        habits: Habits | None = None,
        impact: Impact | None = None,
        texts: Texts | None = None,
        stepped_us: int = NO_TIME,
    ) -> None:
        self.evidence = Evidence(evidence)
        self.suppressed: list[Suppression] = []
        self.refused: list[str] = []
        self.budgets = OwnerBudget(budgets)
        self.quieted, self.ordered = Quieted(), Ordered()
        self.rare = RareAlerts() if rare is None else rare
        self.past = Past(reopen_us, over, settled)
        self.history = History() if history is None else history
        self.texts = Texts() if texts is None else texts
        self._habits = Habits(soon_us=reopen_us) if habits is None else habits
        self._causes = causes
        self._impact = Impact() if impact is None else impact
        self.graph = self.evidence.graph = joining.NoGraph() if graph is None else graph
        self._join_us, self._resolve_us = join_us, resolve_us
        self.open: dict[str, Open] = {incident.id: incident for incident in opened}
        self._of: dict[str, str] = {key: incident.id for incident in self.open.values() for key in incident.members}
        self._deadline: dict[str, int] = {}
        self._pauses: dict[str, int] = {}  # when to ask again whether it is to be told
        self._stepped_us = stepped_us
        self._heard = False
        self._ways: joining.Ways = {}
        for incident in self.open.values():
            self.set_deadline(incident)
            pause = None if incident.revision else incident.course.pause
            if pause is not None and stepped_us < pause.until_us:
                self._pauses[incident.id] = pause.until_us

    def next_deadline(self) -> int | None:
        """Event time of the next step at which something may be told though no anomaly comes: an incident resolves, the
        pause of one is over, an order counts, a silence begins or ends."""
        times = [*self._deadline.values(), *self._pauses.values()]
        if (cluster_us := self.rare.next_deadline()) is not None:
            times.append(cluster_us)
        if (order_us := self.ordered.next_us()) is not None:
            times.append(order_us)
        if self.open and (change_us := self.quieted.next_us(self._stepped_us)) is not None:
            times.append(change_us)
        return min(times, default=None)

    def hear(self, control: SaidControl, now_us: int) -> tuple[int, int]:
        """What people said; it counts from the next step on. How much of it was heard before, and how much could not be
        kept."""
        self._heard = True
        heard, ordered = self.quieted.hear(control, now_us), self.ordered.hear(control, now_us)
        return heard.repeated + ordered.repeated, heard.refused + ordered.refused

    def step(self, anomalies: Sequence[Anomaly], now_us: int) -> list[Incident]:
        """Apply the orders due at ``now_us``, the anomalies decided then (sorted by signal id and revision), what
        silences change, then the timers due.

        Anomalies that may not start an incident just so come last, the most surprising first: they may join what the
        others started, and what an owner's budget has left goes to the worst.
        """
        self._ways.clear()
        self.texts.at(now_us)
        out = [each for due in self.ordered.due(now_us) for each in obeying.obey(due.order, self, now_us)]
        fresh: dict[str, list[Anomaly]] = {key: [] for key in self.open} if self._quiet_changes(now_us) else {}
        for key in sorted(key for key, due in self._pauses.items() if due <= now_us):
            del self._pauses[key]
            fresh.setdefault(key, [])
        wrong = [anomaly for anomaly in anomalies if anomaly.transition == withdrawing.WITHDRAWN]
        if wrong:
            told, less = withdrawing.withdraw(self, wrong, now_us)
            out += told
            fresh = {key: its for key, its in fresh.items() if key in self.open} | {key: [] for key in less}
            gone = {anomaly.id for anomaly in wrong}
            anomalies = [anomaly for anomaly in anomalies if anomaly.id not in gone]
        rare = [anomaly for anomaly in anomalies if self._is_rare(anomaly)]
        for verdict in self.rare.step(rare, now_us):
            for incident, anomaly in self._act(verdict, now_us):
                fresh.setdefault(incident.id, []).append(anomaly)
        alone = {anomaly.id for anomaly in rare}
        for anomaly in sorted((each for each in anomalies if each.id not in alone), key=_turn):
            if (joined := self._apply(anomaly, now_us)) is not None:
                fresh.setdefault(joined.id, []).append(anomaly)
        out += bridging.bridge(self, fresh, now_us)
        for key, applied in fresh.items():
            self.set_deadline(self.open[key])
            out += self._settle(self.open[key], applied, now_us)
        for key in sorted(key for key, due in self._deadline.items() if due <= now_us):
            out += self.close(self.open[key], now_us)
        return out

    # -- anomalies ---------------------------------------------------------------------------------------------------

    def _apply(self, anomaly: Anomaly, now_us: int) -> Open | None:
        known = self._of.get(anomaly.id)
        if known is not None:
            joined = self.open[known]
            joined.join(replace(joined.members[anomaly.id], anomaly=anomaly))
            return joined
        if self.past.is_settled(anomaly) or anomaly.transition == "ended":
            return None
        incident, why = flapping.of_signal(anomaly, self.open.values(), now_us), flapping.WHY
        if incident is None:
            incident, why = joining.best(anomaly, self.open.values(), self.graph, self._join_us, self._ways, self.texts)
        if incident is None and (suppression := self._must_not_start(anomaly, now_us)) is not None:
            self.suppressed.append(suppression)
            return None
        if incident is None and (incident := self.past.of_signal(anomaly, now_us)) is not None:
            why, incident.acknowledged_by = "the same signal, soon after the incident was over", None
            self.take_up(incident)
        if incident is None:
            incident, why = Open(f"inc-{anomaly.id}", anomaly.signal.scope, now_us), "first member"
            self.take_up(incident)
        if (ended_us := incident.ended_us()) is not None and place_of(anomaly) in incident.places:
            incident.course.flapping.returned(ended_us, now_us)
        self.receive(incident, [Member(anomaly, why)])
        incident.kept_open = False  # from now on it ends when this one does
        return incident

    def _is_rare(self, anomaly: Anomaly) -> bool:
        """Is it for the alerts that are put together by how seldom they come? Not where something of its workload is
        wrong anyway."""
        if not anomaly.signal.alert_type:
            return False
        if self.rare.knows(anomaly.id) or anomaly.id in self._of:
            return self.rare.knows(anomaly.id)
        of_workload = [each for each in self.open.values() if each.cluster is None and each.shown]
        of_workload = [each for each in of_workload if anomaly.signal.workload in each.workloads]
        return joining.best(anomaly, of_workload, self.graph, self._join_us, self._ways)[0] is None

    def _act(self, verdict: Verdict, now_us: int) -> list[tuple[Open, Anomaly]]:
        """What a cluster of alerts is to incidents; the anomalies that came into one."""
        if verdict.what == "background":
            self.suppressed += [Suppression(anomaly, "light_weight", now_us) for anomaly, _ in verdict.anomalies]
            return []
        incident = next((each for each in self.open.values() if each.cluster == verdict.cluster), None)
        if incident is None and verdict.what == "opened":
            first = min(verdict.anomalies, key=lambda one: (one[0].onset_us, one[0].id))[0]
            incident = Open(f"inc-{first.id}", verdict.scope, now_us, cluster=verdict.cluster)
            self.take_up(incident)
        if incident is None:  # somebody has closed it
            news = _begun(anomaly for anomaly, _ in verdict.anomalies)
            self.suppressed += [Suppression(anomaly, "put_aside", now_us) for anomaly in news]
            return []
        if verdict.what == "ended":
            incident.cluster = None
        found = []
        for anomaly, why in verdict.anomalies:
            its = self.open.get(self._of.get(anomaly.id, ""), incident)  # somebody may have split it out
            member = its.members.get(anomaly.id)
            self.receive(its, [Member(anomaly, why if member is None else member.joined_by)])
            found.append((its, anomaly))
        self.set_deadline(incident)
        return found

    def of(self, anomaly: Anomaly) -> Open | None:
        """The open incident that it is in."""
        return self.open.get(self._of.get(anomaly.id, ""))

    def edge(self, anomaly: Anomaly, incident: Open) -> joining.Edge | None:
        """By what it belongs to that incident, whatever else it is in."""
        return joining.between(anomaly, incident, self.graph, self._join_us, self._ways)

    def take_up(self, incident: Open) -> None:
        """It is open from now on, and not shown yet."""
        incident.shown = False
        self.open[incident.id] = incident
        self._of |= dict.fromkeys(incident.members, incident.id)

    def receive(self, incident: Open, members: Iterable[Member]) -> None:
        """These belong to it from now on, also where they were of another one."""
        for member in members:
            workload = member.anomaly.signal.workload
            if workload not in incident.workloads and not any(
                True for _ in self.graph.around(incident.scope, workload)
            ):
                incident.unknown.add(workload)
            incident.join(member)
            self._of[member.anomaly.id] = incident.id
        self.set_deadline(incident)

    def bar(self, anomaly: Anomaly) -> str | None:
        """Why it starts no incident, whatever its owner's budget allows; None where it may."""
        if not anomaly.discovered:
            return "false_discovery"
        unfelt = anomaly.felt is False and not anomaly.silent
        return "not_felt" if unfelt and not self._impact.is_business(anomaly.signal) else None

    def let_go(self, incident: Open, anomaly_ids: frozenset[str]) -> None:
        """These belong to no incident any more."""
        incident.leave(anomaly_ids)
        for key in anomaly_ids:
            self._of.pop(key, None)

    def _must_not_start(self, anomaly: Anomaly, now_us: int) -> Suppression | None:
        """Why this anomaly starts no incident and brings none back; None if it may. What a budget allows is spent,
        unless the incident would be held back anyway."""
        if (reason := self.bar(anomaly)) is not None:
            return Suppression(anomaly, reason, now_us)
        if anomaly.owner_budget is None or self.quieted.held(anomaly.signal, now_us) is not None:
            return None
        alone = Open("", anomaly.signal.scope, now_us, members={anomaly.id: Member(anomaly, "")})
        self._impact.weigh(alone)
        if self._pause(alone, now_us):
            return None
        scope, owner = anomaly.signal.scope, anomaly.owner or ""
        if self.budgets.take(scope, owner, anomaly.owner_budget, now_us):
            return None
        return Suppression(anomaly, "owner_budget", now_us, self.budgets.used(scope, owner, now_us))

    # -- what is told ------------------------------------------------------------------------------------------------

    def _settle(self, incident: Open, applied: Sequence[Anomaly], now_us: int) -> list[Incident]:
        """What an incident gives to tell after a step."""
        self._impact.weigh(incident)
        remembering.note(incident)
        signals = (m.anomaly.signal for m in incident.members.values() if m.anomaly.end_us is None)
        held = self.quieted.held_all(signals, now_us, incident.severity)
        if held is not None:
            said = partial(Suppression, reason=held.reason, step_us=now_us, by=held.by, until_us=held.until_us)
            self._suppress(incident, applied, partial(said, incident=incident.id))
            if not incident.shown:
                return []
            incident.shown = False
            return [self.tell(incident, "suppressed", now_us)]
        if not incident.shown:
            if not incident.going_on and not incident.kept_open:
                return []  # it ended while it was held back: there is nothing to call anybody for
            if not incident.revision and (pause := self._pause(incident, now_us)) is not None:
                incident.course.pause, self._pauses[incident.id] = pause, pause.until_us
                said = partial(Suppression, reason=pause.reason, step_us=now_us, until_us=pause.until_us, why=pause.why)
                self._suppress(incident, applied, partial(said, incident=incident.id))
                return []
            self._pauses.pop(incident.id, None)
            incident.shown = True
            if not incident.revision:
                incident.detected_us = now_us
            return [self.tell(incident, "reopened" if incident.revision else "opened", now_us)]
        if incident.is_news() or (incident.flaps(now_us) and not incident.course.flapping.told):
            return [self.tell(incident, "updated", now_us)]
        why = incident.course.flapping.why() if incident.flaps(now_us) else None
        said = partial(Suppression, reason="no_news" if why is None else "flapping", step_us=now_us, why=why)
        self._suppress(incident, applied, partial(said, incident=incident.id))
        return []

    def _suppress(self, incident: Open, applied: Iterable[Anomaly], said: Callable[[Anomaly], Suppression]) -> None:
        """What has just begun of an incident is not told."""
        found = [said(anomaly) for anomaly in _begun(applied)]
        incident.course.held.update(each.reason for each in found)
        self.suppressed += found

    def _pause(self, incident: Open, now_us: int) -> Pause | None:
        """Why the past says that people need not hear of it now."""
        return self._habits.pause(incident, remembering.past_of(incident, self.history, now_us), now_us)

    def tell(self, incident: Open, transition: str, now_us: int, because: Because = NOBODY) -> Incident:
        self._impact.weigh(incident)
        suffers = self._impact.of(incident, self.open.values(), now_us, self._join_us)
        bout = bouts.present(incident.members.values(), bouts.RESTS * self._join_us)
        onset_us = bout[0].anomaly.onset_us
        causes = self._causes.of(incident.scope, bout, onset_us) if self._causes is not None else ()
        told = telling.tell(incident, transition, self.evidence, now_us, because, causes, suffers, bout)
        return remembering.with_past(told, incident, self.history, self._habits, now_us)

    def tell_withdrawn(self, incident: Open, now_us: int, because: Because) -> Incident:
        """It was none, so nobody suffers from it and nothing caused it."""
        told = telling.tell(incident, withdrawing.WITHDRAWN, Evidence(), now_us, because)
        return remembering.with_past(told, incident, self.history, self._habits, now_us)

    def _quiet_changes(self, now_us: int) -> bool:
        """May what is held back be another now than at the step before?"""
        change_us = self.quieted.next_us(self._stepped_us) if self.open else None
        changes = self._heard or (change_us is not None and change_us <= now_us)
        self._heard, self._stepped_us = False, max(self._stepped_us, now_us)
        return changes

    # -- the end -----------------------------------------------------------------------------------------------------

    def set_deadline(self, incident: Open) -> None:
        """When it will resolve if nothing happens."""
        ended = None if incident.kept_open or incident.cluster is not None else incident.ended_us()
        if ended is None:
            self._deadline.pop(incident.id, None)
        else:
            self._deadline[incident.id] = ended + incident.course.flapping.quiet_us(ended, self._resolve_us)

    def close(
        self, incident: Open, now_us: int, because: Because = _ENDED, *, may_return: bool = True
    ) -> list[Incident]:
        """It is over; people who never knew of it are told nothing."""
        told = [self.tell(incident, "resolved", now_us, because)] if incident.revision else []
        remembering.remember(incident, self.history, now_us, because.close_reason)
        self.put_away(incident)
        if told:
            self.past.add(incident, now_us, may_return=may_return)
        return told

    def put_away(self, incident: Open) -> None:
        """It is not open any more."""
        self._deadline.pop(incident.id, None)
        self._pauses.pop(incident.id, None)
        del self.open[incident.id]
        for key in incident.members:
            del self._of[key]


def _begun(applied: Iterable[Anomaly]) -> list[Anomaly]:
    return [anomaly for anomaly in applied if anomaly.transition == "opened"]


def _turn(anomaly: Anomaly) -> tuple[bool, float]:
    """Place within a step; what has none of its own stays in order."""
    limited = not anomaly.discovered or anomaly.owner_budget is not None
    return limited, -anomaly.surprise if limited else 0.0
