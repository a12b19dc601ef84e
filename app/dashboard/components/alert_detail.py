"""One alert: what was seen, what is advised, what happened since, and what can be done.

What belongs here: drawing an alert and its actions. What does not: which moves are legal (data.operations).
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import streamlit as st

from app.dashboard import access, actions, inbox, queries, stores, wording
from app.dashboard.components import page, score
from app.dashboard.components.board import Cell, Column, Row, table
from app.dashboard.components.page import Lens
from app.dashboard.inbox import Alert, Event
from app.dashboard.names import Names
from app.dashboard.rulebook import Rulebook
from data.operations import episodes
from notifications.feeds import feed_name

ANSWERS = ("Yes", "No", "Cannot say")


def draw(lens: Lens, who: Names, episode_id: str) -> None:
    """Draw one alert, or say that there is none that this person may see."""
    outcome = st.session_state.pop("alert.outcome", None)
    found = inbox.alert(lens.person, episode_id)
    if found is None:
        page.empty("No such alert.", "It does not exist, or it is not on your roster.")
        return
    alert, events = found
    st.subheader(page.plain(alert.title or wording.label(alert.rule_code)), anchor=False)
    st.markdown(f"{page.chip(alert.severity.capitalize())} {page.chip(wording.label(alert.status))}")
    page.facts(
        [
            ("about", subject(alert, who)),
            ("opened", wording.weekday_moment(alert.opened_at, lens.zone)),
            ("owner", alert.owner or "nobody"),
            ("from", f"version {alert.publication_id}" if alert.publication_id else "a webhook"),
        ]
    )
    if outcome is not None:
        _tell(outcome)
    left, right = st.columns([3, 2], gap="large")
    with left:
        if alert.recommended_action:
            page.section("What to do")
            st.write(page.plain(alert.recommended_action))
        page.section("Evidence", "What the rule saw when it last looked.")
        _evidence(alert, who, lens)
        _explained(alert, lens)
        _links(lens, alert)
    with right:
        _decisions(lens, alert)
        _history(lens, events)


def _evidence(alert: Alert, who: Names, lens: Lens) -> None:
    rows = [
        Row([Cell(wording.label(name)), Cell(said(name, value, who, lens.zone))])
        for name, value in alert.evidence.items()
        if name not in ("components", "formula_version")
    ]
    table(
        (Column("What", width="45%"), Column("Value")),
        rows,
        key="alert.evidence",
        label="Evidence",
        nothing="The rule recorded no details.",
    )
    if alert.resolution:
        answer = {True: "yes", False: "no", None: "not answered"}[alert.coach_agreed]
        page.facts([("closed with", alert.resolution), ("was it right", answer)])


def _explained(alert: Alert, lens: Lens) -> None:
    evidence = alert.evidence
    if not isinstance(evidence.get("components"), list) or "score_code" not in evidence:
        return
    version = str(evidence.get("formula_version", "v1"))
    formula = Rulebook(queries.rulebook(lens)).formula(str(evidence["score_code"]), version)
    score.explain(formula, {"formula_version": version, "score": None, **evidence}, key="alert.score")


def said(name: str, value: Any, who: Names, zone: str) -> str:
    """Return one value of an alert's evidence as a person says it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "tutor_id":
        return who.tutor(str(value))
    if name == "customer_id":
        return who.customer(str(value))
    if name in ("score_code", "tier", "subject_id", "measure"):
        return wording.label(str(value))
    if isinstance(value, int | float):
        return (
            wording.percent(value, 1)
            if name.endswith(("_rate", "_share")) or name.startswith("p_")
            else f"{value:,.4g}"
        )
    if isinstance(value, list):
        return wording.listed([said("", one, who, zone) for one in value])
    if isinstance(value, dict):
        return "; ".join(
            f"{wording.label(key).lower()} {said(key, one, who, zone)}" for key, one in value.items()
        )
    return _moment_or_text(name, str(value), zone)


def _moment_or_text(name: str, text: str, zone: str) -> str:
    if not name.endswith(("_at", "_from", "_until")):
        return text
    try:
        return wording.weekday_moment(datetime.fromisoformat(text), zone)
    except ValueError:
        return text


def subject(alert: Alert, who: Names) -> str:
    """Return whom or what an alert is about."""
    if alert.entity_type == "source":
        return feed_name(alert.entity_id)
    people = []
    if alert.tutor_id or alert.entity_type == "tutor":
        people.append(who.tutor(alert.tutor_id or alert.entity_id))
    if alert.customer_id or alert.entity_type == "customer":
        people.append(who.customer(alert.customer_id or alert.entity_id))
    return " and ".join(people) or f"{alert.entity_type} {wording.label(alert.entity_id)}"


def _links(lens: Lens, alert: Alert) -> None:
    tutor = alert.tutor_id or (alert.entity_id if alert.entity_type == "tutor" else None)
    customer = alert.customer_id or (alert.entity_id if alert.entity_type == "customer" else None)
    with st.container(horizontal=True):
        if tutor:
            link("tutors", "Open the tutor", tutor=tutor)
        if customer:
            link("customers", "Open the customer", customer=customer)
        if alert.entity_type == "source" and access.may(lens.person, "see_data_health"):
            link("data_health", "Open data health")
        if alert.entity_type == "subject":
            link("supply", "Open supply", subject=alert.entity_id.split(":")[0])


def link(name: str, text: str, **parameters: str) -> None:
    """Draw a link to another page with its filter. Nothing where the page is not part of this run."""
    path = f"views/{name}.py"
    if st.button(text, key=f"link.{name}.{'.'.join(parameters.values())}", icon=":material/arrow_forward:"):
        st.switch_page(path, query_params=parameters)


def _decisions(lens: Lens, alert: Alert) -> None:
    page.section("Decide", "Recorded under your name.")
    if not access.may(lens.person, "act_on_alerts"):
        st.caption(f"Your role, {lens.person.role}, reads alerts and does not change them.")
        return
    legal = episodes.allowed_actions(alert.status)
    person, key = lens.person, str(alert.episode_id)
    with st.container(horizontal=True):
        if "acknowledge" in legal:
            _button(
                "Acknowledge",
                key,
                lambda: actions.move(person, alert.episode_id, to="acknowledge", version=alert.version),
            )
        if "start" in legal:
            _button(
                "Start",
                key,
                lambda: actions.move(person, alert.episode_id, to="start", version=alert.version),
            )
        if alert.is_open and alert.owner_id != person.user_id:
            _button(
                "Assign to me",
                key,
                lambda: actions.assign_to_me(person, alert.episode_id, version=alert.version),
            )
    if "resolve" in legal:
        _resolve_form(lens, alert)
        _dismiss_form(lens, alert)
    if "reopen" in legal:
        _reopen_form(lens, alert)


def _button(text: str, key: str, decide: Any) -> None:
    if st.button(text, key=f"{text}.{key}"):
        _finish(decide())


def _resolve_form(lens: Lens, alert: Alert) -> None:
    with st.form(f"resolve.{alert.episode_id}", border=True):
        notes = st.text_area("What was done", height=80, placeholder="One line is enough.")
        answer = st.radio("Was this alert right?", ANSWERS, index=None, horizontal=True)
        if st.form_submit_button("Resolve", type="primary"):
            if answer is None:
                _finish(actions.NotDone("Say whether the alert was right. The alert stays as it is."))
            _finish(
                actions.resolve(
                    lens.person,
                    alert.episode_id,
                    notes=notes,
                    was_right=_answer(answer),
                    version=alert.version,
                )
            )


def _dismiss_form(lens: Lens, alert: Alert) -> None:
    with st.expander("Dismiss it instead"), st.form(f"dismiss.{alert.episode_id}", border=False):
        reason = st.text_input("Why is it not worth acting on")
        answer = st.radio("Was this alert right?", ANSWERS, index=1, horizontal=True)
        if st.form_submit_button("Dismiss"):
            _finish(
                actions.dismiss(
                    lens.person,
                    alert.episode_id,
                    reason=reason,
                    was_right=_answer(answer),
                    version=alert.version,
                )
            )


def _reopen_form(lens: Lens, alert: Alert) -> None:
    with st.form(f"reopen.{alert.episode_id}", border=True):
        reason = st.text_input("Why is it opened again")
        if st.form_submit_button("Reopen"):
            _finish(actions.reopen(lens.person, alert.episode_id, reason=reason, version=alert.version))


def _answer(said_word: str | None) -> bool | None:
    return {"Yes": True, "No": False}.get(said_word or "")


def _finish(outcome: actions.Outcome) -> None:
    st.session_state["alert.outcome"] = outcome
    st.rerun()


def _tell(outcome: actions.Outcome) -> None:
    if isinstance(outcome, actions.Done):
        st.success(outcome.text, icon=":material/check:")
    else:
        st.warning(outcome.text, icon=":material/info:")


def _history(lens: Lens, events: list[Event]) -> None:
    page.section("History", "Newest first.")
    now = stores.clock().now()
    for event in reversed(events):
        detail = "; ".join(
            str(event.details[name]) for name in ("resolution", "reason", "text") if event.details.get(name)
        )
        st.markdown(
            f"**{wording.label(event.kind)}** by {page.plain(event.actor)}  \n"
            f":gray[{wording.moment(event.at, lens.zone)}, {wording.ago(event.at, now)}]"
            + (f"  \n{page.plain(detail)}" if detail else "")
        )
