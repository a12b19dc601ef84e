"""The router: who is here, which pages their role has, and the frame around them.

What belongs here: navigation and the sidebar. What does not: anything a page answers (views).
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app.dashboard import access, identity, stores
from app.dashboard.components.page import plain, sign_out_link, signed_out

HERE = Path(__file__).parent
PAGES: tuple[tuple[str, str, str, access.Permission], ...] = (
    ("overview", "Overview", ":material/monitoring:", "see_overview"),
    ("alerts", "Alerts", ":material/notifications:", "see_alerts"),
    ("tutors", "Tutors", ":material/school:", "see_tutors"),
    ("customers", "Customers", ":material/group:", "see_customers"),
    ("supply", "Supply", ":material/balance:", "see_supply"),
    ("data_health", "Data health", ":material/database:", "see_data_health"),
)


def main() -> None:
    """Draw the frame and run the chosen page."""
    st.set_page_config(
        page_title="Chalkline", page_icon=str(HERE / "assets" / "mark.svg"), layout="wide", menu_items={}
    )
    st.html(f"<style>{(HERE / 'assets' / 'frame.css').read_text(encoding='utf-8')}</style>")
    st.logo(str(HERE / "assets" / "mark.svg"), size="medium")
    person = identity.current_person()
    if person is None:
        st.navigation([st.Page(signed_out, title="Signed out")], position="hidden").run()
        return
    pages = [
        st.Page(
            HERE / "views" / f"{name}.py", title=title, icon=icon, url_path=name, default=name == "overview"
        )
        for name, title, icon, permission in PAGES
        if access.may(person, permission)
    ]
    account = st.Page(
        HERE / "views" / "account.py", title="Account", icon=":material/person:", url_path="account"
    )
    page = st.navigation([*pages, account])
    with st.sidebar:
        token = identity.sign_out_token(stores.settings(), person)
        st.caption(f"{plain(person.name)}  \n{person.role.capitalize()}")
        sign_out_link(token)
    page.run()


main()
