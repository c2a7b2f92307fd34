#!/usr/bin/env bash
# mutants.sh [WORD]: breaks the library and the tests' authorization server on purpose, one line at a time, and sees that a
# test fails. With WORD only the mutants with that word in their name.
#
# Works on a copy of the sources in build/mutants, with a target directory of its own; takes about ten minutes, and
# more the first time, so it is no part of `make test`. Ends with a table, and with 1 if a mutant was not noticed. A mutation that does
# not change exactly one line, or does not build, ends the script: the source has moved on, and the line here must follow.
set -euo pipefail
. "$(dirname "$0")/common.sh"

WORK=$ROOT/build/mutants
SOURCE=$WORK/source
export CARGO_TARGET_DIR=$WORK/target
only=${1:-}
NAMES=() FILES=() EDITS=() TESTS=()

# mutant NAME FILE SED TEST... : the arguments of `cargo test` that must fail once SED has changed FILE.
mutant() {
    [[ "$1" == *"$only"* ]] || return 0
    NAMES+=("$1") FILES+=("$2") EDITS+=("$3")
    shift 3
    TESTS+=("$*")
}

page="--test token the_pages_own_string_gets_a_token_from_every_kind_of_store"
login="--test login a_login_brings_the_token_and_is_renewed_without_the_person"
suite="-p authority --test suite"

mutant "library: another aud" src/assertion.rs \
    's|("aud", claims.audience)\]|("aud", claims.audience.map(\|_\| "https://elsewhere.example"))]|' "$page"
mutant "library: no exp" src/assertion.rs 's|\[("iat", iat), ("exp", exp)\]|[("iat", iat)]|' "$page"
mutant "library: an exp that is past" src/assertion.rs \
    's|^    for (name, seconds) in \[("iat", iat), ("exp", exp)\]|    for (name, seconds) in [("iat", iat), ("exp", iat)]|' "$page"
mutant "library: the same jti in each assertion" src/assertion.rs \
    's|object.text("jti", &unique()?);|object.text("jti", \&unique()?.replace(\|_: char\| true, "A"));|' \
    --test token a_rejected_token_is_replaced_once_for_all_connections
mutant "library: no jti" src/assertion.rs 's|object.text("jti", &unique()?);|let _ = unique()?;|' "$page"
mutant "library: a signature over something else" src/assertion.rs \
    's|key.sign(algorithm, text.as_bytes())|key.sign(algorithm, text.to_uppercase().as_bytes())|' "$page"
mutant "library: any state will do" src/consent/request.rs \
    's|!expected.is_empty() \&\& verify_slices_are_equal(state, expected).is_ok()|!state.is_empty() \|\| verify_slices_are_equal(state, expected).is_ok()|' \
    --test authorize a_wrong_state_is_turned_away_and_the_wait_goes_on_to_its_end
mutant "library: no state will do" src/consent/request.rs \
    's/if !parameters.remove("state").is_some_and(|state| is_same(&state, &expected.state))/if parameters.remove("state").is_some_and(|state| !is_same(\&state, \&expected.state))/' \
    --lib consent::request::tests::a_visit_without_exactly_the_right_state_is_turned_away
mutant "library: another code_verifier" src/flow/authorization_code.rs \
    's|("code_verifier", verifier.clone())|("code_verifier", Secret::new(verifier.reveal().chars().rev().collect::<String>()))|' "$login"
mutant "library: no code_verifier" src/flow/authorization_code.rs \
    's|verifier.map(.verifier. ("code_verifier", verifier.clone()))|verifier.filter(\|_\| false).map(\|verifier\| ("code_verifier", verifier.clone()))|' "$login"
mutant "library: no code_challenge" src/consent/url.rs \
    's|if let Some(challenge) = challenge {|if let Some(challenge) = challenge.filter(\|_\| false) {|' "$login"
mutant "library: a certificate for any name" src/tls.rs \
    's|Some(name) => Arc::new(OtherName { inner, name: name.clone() }),|Some(_) => Arc::new(AnyCertificate(Arc::new(aws_lc_rs::default_provider()))),|' \
    --test trust the_certificate_may_be_for_another_name_than_the_urls
mutant "library: no client certificate" src/tls.rs \
    's|Some(source) => builder.with_client_cert_resolver(.*),$|Some(_) => builder.with_no_client_auth(),|' \
    --lib http::client_tests::a_key_of_each_kind_is_believed_in_each_version_of_tls
mutant "library: plain http through a proxy" src/proxy.rs \
    's|_ if !url.is_https() => Ok(None),|_ if url.host().is_empty() => Ok(None),|' \
    --lib proxy::tests::plain_http_and_this_machine_are_reached_without_the_environments_proxy
mutant "library: one connection for all proxies" src/tls.rs \
    's|            return self.clone();|            return Self { route: Route::Straight, ..self.clone() };|' \
    --lib http::tunnel_tests::connections_are_shared_only_where_the_proxy_is_the_same
mutant "library: references in any string" src/options/references.rs \
    's/_ if !may =>/_ if !may \&\& definition.name.is_empty() =>/' \
    --test references the_text_of_a_connection_string_has_no_references_and_they_are_not_repeated
mutant "library: references in any FILEDSN" src/options/references.rs \
    's/named.is_none_or(|named| environment::has_folder(.*)$/named.is_none_or(|named| environment::has_folder(Path::new("")) \&\& named.place.is_some())/' \
    --test references data_sources_of_the_machine_have_references_and_a_file_dsn_that_is_named_by_its_path_has_none
mutant "library: a string claims another aud with a data source's key" src/options/steering.rs \
    's/|| self.claims_audience(name)/|| false/' "--test sources another_audience"
mutant "library: a stranger's key file steers" src/options/key_file.rs \
    's/if let Some(fault) = self.key_steers(key) {/if let Some(fault) = self.key_steers(key).filter(|_| false) {/' \
    --test key_files a_stranger_cannot_send_a_data_sources_secrets_to_the_token_uri_of_a_key_file
mutant "library: a key file's client secret goes anywhere" src/options/key_file.rs \
    's/if let Some(by) = led {/if let Some(by) = led.filter(|_| false) {/' \
    --test key_files a_stranger_cannot_have_the_client_secret_of_the_hosts_key_file_sent_to_a_server_of_theirs

# model NAME FILE SED TEST: a mutant that a model of the cache, or of its slot, must notice.
model() { mutant "model: $1" "$2" "$3" --lib --features model "${m}::models::$4"; }
m=sys::share c=src/sys/share.rs
model "a share's end is not behind other shares'" $c 's|fence(Ordering::Acquire);||' what_is_taken_lives_while_another_is_put
model "letting go of a share does not come before its end" $c 's|fetch_add(shares, Ordering::Release)|fetch_add(shares, Ordering::Relaxed)|' \
    what_is_taken_lives_while_another_is_put
model "a share is taken without the value" $c 's|self.number.fetch_add(1, Ordering::Acquire)|self.number.fetch_add(1, Ordering::Relaxed)|' \
    what_is_taken_lives_while_another_is_put
model "what was taken is not counted" $c 's|count(before).wrapping_sub(IN_A_SLOT)|-IN_A_SLOT|' what_is_taken_lives_while_the_slot_is_cleared
model "what was taken is counted twice" $c 's|Counted::add(share.0, count(number).wrapping_neg())|Counted::add(share.0, 0)|' \
    what_two_take_is_moved_to_the_count_once
m=cache
c=src/cache/entry.rs
model "nobody is woken by a landing" $c '/self.landed = true;/,/^    }/ s|self.entry.state.wake_all();||' \
    of_two_who_come_together_one_fetches_and_both_have_its_token
model "nobody is woken by a panic" $c '/self.entry.lock().flight = None;/,/^    }/ s|self.entry.state.wake_all();||' \
    one_of_those_who_wait_takes_over_from_a_leader_that_panics
model "a panic leaves its flight" $c 's|self.entry.lock().flight = None;||' one_of_those_who_wait_takes_over_from_a_leader_that_panics
model "a leader's timeout is everybody's" $c 's/Status::Timeout | Status::Cancelled | Status::Internal)/Status::Internal)/' \
    a_leader_that_gives_up_fails_alone
model "a flight for each" $c 's|Some(flight) => Step::Wait(flight),|Some(_) => Step::Lead(self.take_off(), None),|' \
    of_three_who_come_together_one_fetches_and_all_have_its_token
model "a refusal is the leader's alone" $c 's/map_or_else(concerns_all, |_| true)/is_ok()/' \
    what_is_wrong_with_the_network_is_heard_by_who_waited_and_not_asked_again_by_them
model "no refusal is remembered" $c 's|state.remember(error, now, made_from);|let _ = made_from;|' \
    a_refused_grant_is_asked_for_once_and_refused_to_all
model "a refusal is not forgotten" $c '/fn forget_refusal/,/^    }/ s|(self.refused, self.refusals)|self.refusals|' \
    what_was_forgotten_or_taken_is_asked_for_anew
model "all renew" $c 's/let waits = self.flight.is_some() ||/let waits =/' a_token_that_ends_soon_is_renewed_by_one_and_nobody_waits
model "a failed renewal is tried again at once" $c 's|state.renewals.happened(now);||' a_renewal_that_fails_is_tried_by_one_and_all_go_on
model "what was replaced is not retired" $c 's|before.retire();||' a_token_that_ends_soon_is_renewed_by_one_and_nobody_waits
model "a cancel does not wait for the lock" $c 's|drop(self.lock());||' one_who_waits_is_woken_by_a_cancel
c=src/cache.rs
model "any token can be rejected" $c 's/is_some_and(|current| ptr::eq(&raw const \*\*current, token))/is_some()/' \
    a_token_that_two_reject_is_fetched_anew_once
model "what was cleared is not retired" $c '/for entry in entries.values/,/}/ s|entry.lock().drop_token();|let _ = entry.lock();|' \
    who_asks_behind_a_clear_never_has_what_was_cleared
model "what is put may be lost" $c 's|change(&mut self.entry_in(&mut entries, identity).lock());|let entry = self.entry_in(\&mut entries, identity); drop(entries); change(\&mut entry.lock());|' \
    what_is_put_while_another_takes_is_either_taken_or_there

a=tests/authority/src
refusals="$suite each_single_fault_of_the_assertion_is_refused_for_itself"
codes="$suite a_code_is_refused_for_each_single_fault_and_is_good_afterwards"
mutant "authority: any aud will do" $a/assertion.rs \
    's/is_some_and(|only| expected.contains(&only))/is_some_and(|only| expected.contains(\&only) || !only.is_empty())/' "$refusals"
mutant "authority: no aud will do" $a/assertion.rs \
    's/let found = jwt.claims.get("aud").ok_or_else(|| missing("aud"))?;/let Some(found) = jwt.claims.get("aud") else { return Ok(()) };/' "$refusals"
mutant "authority: an exp that is past will do" $a/assertion.rs 's/if exp <= now {/if exp < 0 {/' "$refusals"
mutant "authority: no exp will do" $a/assertion.rs \
    's/let exp = integer(jwt, "exp")?.ok_or_else(|| missing("exp"))?;/let exp = integer(jwt, "exp")?.unwrap_or(now + 60);/' "$refusals"
mutant "authority: a jti is good again" $a/state.rs \
    's/if self.seen.jtis.insert((issuer.to_owned(), jti.to_owned())) {/if self.seen.jtis.insert((issuer.to_owned(), jti.to_owned())) || true {/' \
    "$suite" an_assertion_is_good_once
mutant "authority: no jti will do" $a/assertion.rs 's/None if config.require_jti => /None if false \&\& config.require_jti => /' "$refusals"
mutant "authority: any signature will do" $a/assertion.rs \
    's/key.verifies(algorithm, message, &jwt.signature)/key.fits(algorithm) || key.verifies(algorithm, message, \&jwt.signature)/' "$refusals"
mutant "authority: any code_verifier will do" $a/grants.rs 's/if hash != \*challenge {/if hash.is_empty() {/' "$codes"
mutant "authority: no code_verifier will do" $a/grants.rs \
    's/(Some(_), None) => return Err(Refusal::request("code_verifier is missing")),/(Some(_), None) => return Ok(()),/' "$codes"
mutant "authority: no code_challenge will do" $a/authorize.rs 's/(None, None) if !config.require_pkce => /(None, None) if !config.require_pkce || true => /' \
    "$suite" pkce_can_be_left_out_where_that_is_configured_and_only_there
mutant "authority: the state does not come back" $a/authorize.rs \
    's/let also = \[("state", self.state.as_deref()), /let also = [("state", self.state.as_deref().filter(|_| false)), /' \
    "$suite" other_faults_of_a_visit_go_back_with_the_state

[ ${#NAMES[@]} -gt 0 ] || fail "mutants.sh: no mutant has $only in its name"

# All files are new each time: what was built last may have been a mutant.
copy_sources() {
    mkdir -p "$SOURCE" "$CARGO_TARGET_DIR"
    find "$SOURCE" -type f -delete
    git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- -cf - | tar -xmf - -C "$SOURCE"
    # What others wrote is built already, and is the same here.
    [ ! -d "$TARGET/debug/.fingerprint" ] || [ -d "$CARGO_TARGET_DIR/debug" ] || {
        mkdir -p "$CARGO_TARGET_DIR/debug/deps"
        cp -a "$TARGET/debug/build" "$TARGET/debug/.fingerprint" "$CARGO_TARGET_DIR/debug"
        find "$TARGET/debug/deps" -maxdepth 1 \( -name 'lib*' -o -name '*.d' \) ! -name 'libauth*' \
            -exec cp -a -t "$CARGO_TARGET_DIR/debug/deps" {} +
    }
}

# shellcheck disable=SC2086 # several arguments, one word each
build() { (cd "$SOURCE" && cargo test --quiet --no-run $1) >"$SCRATCH/said" 2>&1 || { cat "$SCRATCH/said"; fail "$2 does not build"; }; }
# shellcheck disable=SC2086
passes() { (cd "$SOURCE" && timeout 300 cargo test --quiet $1) >"$SCRATCH/said" 2>&1; }

copy_sources
echo "== nothing broken: each test must pass"
mapfile -t different < <(printf '%s\n' "${TESTS[@]}" | sort -u)
for test in "${different[@]}"; do
    build "$test" "the unbroken source"
    passes "$test" && grep -q '^test result: ok. 1 passed' "$SCRATCH/said" \
        || { cat "$SCRATCH/said"; fail "with nothing broken this is not one test that passes: cargo test $test"; }
    echo "ok ${test##* }"
done

echo "== broken on purpose: it must fail"
failed=0
TABLE=()
for index in "${!NAMES[@]}"; do
    name=${NAMES[$index]} file=${FILES[$index]} test=${TESTS[$index]}
    cp "$SOURCE/$file" "$SCRATCH/whole"
    sed "${EDITS[$index]}" "$SCRATCH/whole" >"$SCRATCH/mutant"
    changed=$(diff "$SCRATCH/whole" "$SCRATCH/mutant" | grep -c '^>' || true)
    [ "$changed" = 1 ] || fail "$name: $changed lines of $file are changed, and not 1"
    cp "$SCRATCH/mutant" "$SOURCE/$file"
    build "$test" "$name"
    if passes "$test"; then
        failed=1
        TABLE+=("NOT NOTICED | $name | ${test##* }")
    else
        grep -qE '^test result: FAILED|process abort signal' "$SCRATCH/said" || { cat "$SCRATCH/said"; fail "$name: the test did not end by itself"; }
        TABLE+=("noticed | $name | ${test##* }")
    fi
    echo "${TABLE[-1]}"
    cp "$SCRATCH/whole" "$SOURCE/$file"
done

echo
printf '%s\n' "outcome | what is broken | by which test" "${TABLE[@]}" | column -t -s '|'
exit $failed
