#!/usr/bin/env bash
# A walk through the API with curl and jq: examples/walkthrough.sh [http://127.0.0.1:8000]
set -euo pipefail
api=${1:-http://127.0.0.1:8000}/api

# call METHOD PATH TOKEN [BODY]
call() {
    curl -sS --fail-with-body -X "$1" "${2/#\//$api/}" ${3:+-H "Authorization: Bearer $3"} --json "${4:-}"
}
register() {
    call POST /auth/register/ "" '{"email": "'"$1-$RANDOM$$"'@example.org", "password": "correct horse"}'
}

baker=$(register baker) && reader=$(register reader | jq -r .token)
for title in "Fresh bread" "Apple cake" "Late concert"; do
    flyer=$(call POST /flyers/ "$(jq -r .token <<<"$baker")" '{"title": "'"$title"'", "description": "From six.",
        "location_address": "Bahnhofstrasse 1, Zürich", "latitude": 47.3769, "longitude": 8.5417,
        "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2036-01-01T00:00:00Z",
        "categories": ["service"], "images": [{"url": "https://images.example.org/bread.jpg"}]}')
done
call PUT "/follows/$(jq .user.id <<<"$baker")/" "$reader" >/dev/null
call PUT "/favorites/$(jq .id <<<"$flyer")/" "$reader" >/dev/null
echo "favorites: $(call GET /favorites/feed/ "$reader" | jq -r '[.results[].title] | join(", ")')"

next="/following/feed/?page_size=2&lat=47.37&lng=8.54"
while [[ $next != null ]]; do
    page=$(call GET "$next" "$reader")
    jq -r '"following: \([.results[].title] | join(", ")), of \(.count)"' <<<"$page"
    next=$(jq -r .next <<<"$page")
done
