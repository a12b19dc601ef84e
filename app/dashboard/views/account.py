"""Account: who am I here, and what may I see and do."""

from __future__ import annotations

import streamlit as st

from app.dashboard import access, identity, stores, wording
from app.dashboard.components import page
from app.dashboard.components.board import Cell, Column, Row, table


def account() -> None:
    """Draw the page."""
    person = identity.current_person()
    if person is None:
        page.signed_out()
        return
    st.title("Account", anchor=False)
    st.caption("Who you are here, and what your role may see and do.")
    page.facts([("Name", person.name), ("E-mail", person.email), ("Role", person.role)])
    if person.roster is not None:
        st.write(
            f"You see {wording.count(len(person.roster), 'tutor')} on your roster, their customers and their alerts."
        )
    page.section("What your role may do", "Checked at every question and every decision.")
    table(
        (Column("What", first=True), Column("", right=True)),
        [
            Row(
                [
                    Cell(wording.label(permission)),
                    Cell("yes", chip=True, tone="green")
                    if access.may(person, permission)
                    else Cell("no", chip=True),
                ]
            )
            for permission in access.ALLOWED
        ],
        key="account.permissions",
        label="Permissions",
    )
    page.section("Sign-in")
    hours = int(identity.LIFETIME.total_seconds() // 3600)
    st.write(
        f"A sign-in lasts {hours} hours. Signing out ends every open session of yours, on all devices, at once."
    )
    token = identity.sign_out_token(stores.settings(), person)
    page.sign_out_link(token)


account()
