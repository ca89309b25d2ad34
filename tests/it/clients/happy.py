"""A purge from request to end, by the client that openapi-python-client generates. Run as `happy.py URL KEY ID...`."""

import sys
from uuid import UUID, uuid4

from generated import AuthenticatedClient
from generated.api.purges import create_purge, get_purge, list_purge_conversations, list_purge_events, list_purges
from generated.models import NewPurge, Outcome, Problem, PurgeState

url, key, *ids = sys.argv[1:]
unknown = uuid4()
client = AuthenticatedClient(base_url=url, token=key, raise_on_unexpected_status=True)

order = NewPurge(conversation_ids=[*ids, str(unknown)], reference="PYTHON-1")
purge = create_purge.sync(client=client, body=order, idempotency_key="python-1")
assert purge.reference == "PYTHON-1", purge
assert create_purge.sync(client=client, body=order, idempotency_key="python-1").id == purge.id

while True:
    purge = get_purge.sync(purge.id, client=client, wait=30)
    if purge.state in (PurgeState.COMPLETED, PurgeState.FAILED, PurgeState.CANCELED):
        break
assert purge.state is PurgeState.COMPLETED, purge
assert (purge.counts.purged, purge.counts.not_found, purge.counts.total) == (len(ids), 1, len(ids) + 1), purge

seen, cursor = [], None
while True:
    page = list_purge_conversations.sync(purge.id, client=client, limit=2, cursor=cursor)
    seen += page.items
    cursor = page.next_cursor
    if not cursor:
        break
assert [row.conversation_id for row in seen] == [*map(UUID, ids), unknown], seen
exceptions = list_purge_conversations.sync(purge.id, client=client, outcome=Outcome.NOT_FOUND)
assert [row.code for row in exceptions.items] == ["absent_twice"], exceptions

events = list_purge_events.sync(purge.id, client=client)
types = [event.type_.value for event in events.items]
assert types[0] == "purge_accepted" and "purge_completed" in types, types
listed = list_purges.sync(client=client, reference="PYTHON-1")
assert [found.id for found in listed.items] == [purge.id], listed

problem = get_purge.sync(uuid4(), client=client)
assert isinstance(problem, Problem) and problem.code == "not_found", problem
print("ok")
