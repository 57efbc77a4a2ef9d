# Runs the steps of scripts/test and scripts/nightly, which source this file. Each step is announced and timed, and a
# table of all steps is printed at the end. shellcheck shell=bash

# Whether a failing step ends the script. Otherwise the script goes on and fails at its end.
ends_at_failure=true

failed=false
summary=

# run NAME COMMAND ARG…
run() {
    local started=$SECONDS status verdict=
    echo "==> $1"
    # In a subshell with `set -e`, so that any failing command ends the step. Before || or &&, `set -e` has no effect.
    set +e
    (
        set -e
        "${@:2}"
    )
    status=$?
    set -e
    [[ $status == 0 ]] || verdict=FAILED failed=true
    summary+=$(printf '%-14s %5d s%s' "$1" $((SECONDS - started)) "${verdict:+  $verdict}")$'\n'
    echo "==> $1: $((SECONDS - started)) s${verdict:+, $verdict}"
    if [[ $status != 0 ]] && $ends_at_failure; then exit "$status"; fi
}

finish() {
    local status=$?
    printf '\n%s' "$summary"
    if [[ $status == 0 ]] && $failed; then status=1; fi
    if [[ $status == 0 ]]; then
        printf '%-14s %5d s\n' "all passed" "$SECONDS"
    else
        printf '%-14s %5d s\n' "FAILED" "$SECONDS"
    fi
    exit "$status"
}
trap finish EXIT

has_openssl() { pkg-config --exists openssl 2>/dev/null; }

# Builds with the system's OpenSSL if there is one, because compiling OpenSSL takes minutes. The shipped binary has
# its own OpenSSL built in (the feature `vendored`), with the same C interface; no test uses TLS. Set the same
# variable for builds outside the scripts, so that nothing is built twice.
use_openssl_of_system() {
    if has_openssl; then export OPENSSL_NO_VENDOR=${OPENSSL_NO_VENDOR-1}; fi
}
