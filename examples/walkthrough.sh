#!/usr/bin/env bash
# A walk through the API: two accounts, three flyers, a follow, a favorite, and the following feed page by page.
#
#   examples/walkthrough.sh [http://127.0.0.1:8000]
set -euo pipefail
api=${1:-http://127.0.0.1:8000}/api

# call METHOD PATH TOKEN [BODY]
call() {
    curl -sS --fail-with-body -X "$1" "$api$2" ${3:+-H "Authorization: Bearer $3"} \
        ${4:+-H 'Content-Type: application/json' -d "$4"}
}
# The first value of a member of the JSON that comes in, be it text or a number.
value() { grep -o "\"$1\":[^,}]*" | head -n 1 | cut -d: -f2- | tr -d '"'; }
titles() { grep -o '"title":"[^"]*"' | cut -d'"' -f4 | paste -sd, | sed 's/,/, /g'; }

account='{"email": "%s-'$RANDOM$$'@example.org", "password": "correct horse"}'
# shellcheck disable=SC2059 # The format is the body.
session() { call POST /auth/register/ "" "$(printf "$account" "$1")"; }
session=$(session baker)
baker=$(value token <<<"$session") baker_id=$(value id <<<"$session")
reader=$(session reader | value token)

for title in "Fresh bread" "Apple cake" "Late concert"; do
    flyer=$(call POST /flyers/ "$baker" '{"title": "'"$title"'", "description": "Every day from six.",
        "location_address": "Bahnhofstrasse 1, Zürich", "latitude": 47.3769, "longitude": 8.5417,
        "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2036-01-01T00:00:00Z",
        "categories": ["service"], "images": [{"url": "https://images.example.org/bread.jpg"}]}' | value id)
done
call PUT "/follows/$baker_id/" "$reader" >/dev/null
call PUT "/favorites/$flyer/" "$reader" >/dev/null
echo "favorites: $(call GET /favorites/feed/ "$reader" | titles)"

path="/following/feed/?page_size=2&lat=47.37&lng=8.54"
for ((page = 1; ${#path} > 0; page++)); do
    answer=$(call GET "$path" "$reader")
    echo "following, page $page of $(value count <<<"$answer") flyers: $(titles <<<"$answer")"
    next=$(value next <<<"$answer")
    path=${next#"$api"}
    [[ $next != null ]] || path=""
done
