"""Whether data can leave the machine by a call: yes, unless the definition only speaks of what is here."""

from collections.abc import Mapping
from typing import Any

from interlock.guardrails.classes.tables import bag
from interlock.guardrails.classes.verbs import SENDING
from interlock.guardrails.classes.words import name_words, singular, tokens

_OUTWARD_PARAMETERS = bag(
    """
    url uri urls endpoint webhook webhook_url recipient recipients to cc bcc email emails channel channel_id phone
    phone_number host hostname remote server address domain callback callback_url callbackurl repo_url base_url
    website
    """
)
_LOCAL_PARAMETERS = bag(
    """
    path paths file_path filepath file filename repo_path directory dir folder source destination cwd db_path root
    working_directory workspace_path project_path timezone pid
    """
)
_OUTWARD = bag(
    """
    http https url api web website internet online cloud saas remote upload webhook email mail slack github gitlab
    jira confluence notion sentry aws azure gcp google server cluster endpoint tenant account organization browser
    network post tweet sms channel upstream origin fetch push pull clone ssh kubernetes database subscription
    service page tab
    """
)
_NOT_SENDING = bag("page call ring alert comment post submit")
_LOCAL = bag(
    """
    local locally file directory folder filesystem disk workbook worksheet spreadsheet cell clipboard timezone
    sqlite repository branch commit staging memory math arithmetic calculator calculation
    """
)


def leaves(name: str, text: str, schema: Mapping[str, Any], annotations: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether data can leave, and why; in doubt it can.

    Args:
        name: of the tool.
        text: its title and description.
        schema: of its input.
        annotations: its hints; `openWorldHint: true` counts, false is a claim that proves nothing.
    """
    if annotations.get("openWorldHint") is True:
        return True, "egress: its server says that it reaches the outside"
    properties = schema.get("properties")
    names = {"_".join(name_words(str(key))) for key in properties} if isinstance(properties, Mapping) else set()
    outward = sorted(names & _OUTWARD_PARAMETERS)
    if outward:
        return True, f"egress: '{outward[0]}' can name a place outside"
    words = {singular(word) for word in (*name_words(name), *tokens(text[:2000]))}
    sending = sorted(set(name_words(name)) & SENDING - _NOT_SENDING)
    if sending:
        return True, f"egress: '{sending[0]}' sends something"
    outside = sorted(words & _OUTWARD)
    if outside:
        return True, f"egress: speaks of '{outside[0]}'"
    if words & _LOCAL or names & _LOCAL_PARAMETERS or not names:
        return False, "no egress: speaks only of what is on this machine"
    return True, "egress: nothing says that data stays here"
