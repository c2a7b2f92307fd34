package authgrant

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"unicode/utf16"
)

func TestOpenRejectsBrokenString(t *testing.T) {
	_, err := Open("A={")
	if failure := failure(t, err); failure.Status != StatusInvalidConnectionString || failure.SQLState != "HY000" {
		t.Fatal(failure)
	}
	if !errors.Is(err, StatusInvalidConnectionString) || errors.Is(err, StatusDenied) {
		t.Fatal("errors.Is must find the status, and no other")
	}
}

func TestNULInTextIsRejected(t *testing.T) {
	connection := openFor(t, "")
	for name, call := range map[string]func() error{
		"Open":           func() error { _, err := Open("a=1;\x00b=2"); return err },
		"OpenUTF16":      func() error { _, err := OpenUTF16([]uint16{'a', '=', 0, '1'}); return err },
		"FromUTF16":      func() error { _, err := FromUTF16([]uint16{'a', 0, 'b'}); return err },
		"OpenOptions":    func() error { _, err := OpenOptions(map[string]string{"Scope": "a\x00b"}); return err },
		"SetOption":      func() error { return connection.SetOption("Scope", "a\x00b") },
		"SetOptions":     func() error { return connection.SetOptions(map[string]string{"Scope\x00": "a"}) },
		"QuoteValue":     func() error { _, err := QuoteValue("\x00"); return err },
		"ValidateString": func() error { _, err := ValidateString("\x00"); return err },
		"AllowDirectory": func() error { return AllowDirectory("/tmp\x00") },
	} {
		if err := call(); !errors.Is(err, StatusInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenOptionsQuotesValues(t *testing.T) {
	scope := " a;b={c}'\" "
	connection, err := OpenOptions(map[string]string{
		"AuthenticationMethod": "54", "RefreshToken": "a", "TokenURI": "POST https://login.example.com/token", "Scope": scope,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if warnings, err := connection.Warnings(); err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	text, err := connection.CompletedString(0)
	if err != nil {
		t.Fatal(err)
	}
	if quoted, _ := QuoteValue(scope); !strings.Contains(text, "Scope="+quoted) {
		t.Fatalf("%q is not in %q", quoted, text)
	}
	for _, name := range []string{"", "a;b", "a=b", "{a"} {
		if _, err := OpenOptions(map[string]string{name: "1"}); !errors.Is(err, StatusInvalidArgument) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestDriverKeywordsAreOptions(t *testing.T) {
	connection, err := OpenDriver("T=orders;Scope=a;Zebra=1", "Schema", "Table;T")
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := connection.SetOption("Schema", "s"); err != nil {
		t.Fatal(err)
	}
	if value, found, err := connection.Option("table"); value != "orders" || !found || err != nil {
		t.Fatal(value, found, err)
	}
	if value, found, err := connection.Option("ClaimsIssuer"); value != "" || found || err != nil {
		t.Fatal(value, found, err)
	}
	if _, _, err := connection.Option("View"); !errors.Is(err, StatusInvalidOption) {
		t.Fatal(err)
	}
	if text, err := connection.CompletedString(AsGiven); text != "T=orders;Scope=a;Schema=s;" || err != nil {
		t.Fatal(text, err)
	}
	if _, err := connection.CompletedString(AsGiven | WithSecrets); !errors.Is(err, StatusInvalidArgument) {
		t.Fatal(err)
	}
	for _, count := range []int{1, 0} {
		if warnings, err := connection.TakeWarnings(); len(warnings) != count || err != nil {
			t.Fatal(count, warnings, err)
		}
	}
	for _, keyword := range []string{"", "a=b", "a\x00"} {
		if _, err := OpenDriver("", keyword); !errors.Is(err, StatusInvalidArgument) {
			t.Errorf("%q: %v", keyword, err)
		}
	}
}

func TestBrowseEndsWhenComplete(t *testing.T) {
	connection, err := Open("AuthenticationMethod=50")
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if request, found, err := connection.Browse(); request != "AccessToken:Access Token=?" || !found || err != nil {
		t.Fatal(request, found, err)
	}
	if err := connection.SetOption("AccessToken", "t"); err != nil {
		t.Fatal(err)
	}
	if request, found, err := connection.Browse(); request != "" || found || err != nil {
		t.Fatal(request, found, err)
	}
}

func TestUTF16RoundTrips(t *testing.T) {
	text := "aé€😀=1"
	wide, err := UTF16(text)
	if err != nil || string(utf16.Decode(wide[:len(wide)-1])) != text || wide[len(wide)-1] != 0 {
		t.Fatal(wide, err)
	}
	for _, units := range [][]uint16{wide, wide[:len(wide)-1]} {
		if utf8, err := FromUTF16(units); utf8 != text || err != nil {
			t.Fatal(utf8, err)
		}
		connection, err := OpenUTF16(units)
		if err != nil {
			t.Fatal(err)
		}
		warnings, err := connection.Warnings()
		if err != nil || len(warnings) != 1 || warnings[0].Option != "aé€😀" || warnings[0].Status != StatusOK {
			t.Fatal(warnings, err)
		}
		connection.Close()
	}
}

func TestSetOptionsIsAtomic(t *testing.T) {
	connection := openFor(t, "")
	err := connection.SetOptions(map[string]string{"Scope": "other", "Nonsense": "1", "JWTLifetime": "0"})
	var options []string
	for failure := failure(t, err); failure != nil; failure = failure.Next {
		options = append(options, failure.Option)
	}
	if strings.Join(options, " ") != "JWTLifetime Nonsense" {
		t.Fatal(options)
	}
	if err := connection.SetOptions(map[string]string{"ClaimsSubject": "jane", "JWTLifetime": "60"}); err != nil {
		t.Fatal(err)
	}
	if text, _ := connection.CompletedString(0); !strings.Contains(text, "jane") || strings.Contains(text, "other") {
		t.Fatal(text)
	}
	if err := connection.SetOptions(nil); err != nil {
		t.Fatal(err)
	}
}

func TestErrorsOfOptionsAreChained(t *testing.T) {
	connection, err := Open("AuthenticationMethod=55;JWTLifetime=0;LoginTimeout=abc")
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_, err = connection.Token(context.Background())
	first := failure(t, err)
	if first.Status != StatusInvalidOption || first.Next == nil || !errors.Is(err, StatusMissingOption) {
		t.Fatal(err)
	}
	if !strings.Contains(err.Error(), first.Next.Message) || first.Next.Option == first.Option {
		t.Fatal(err)
	}
}

func TestServerErrorHasItsMembers(t *testing.T) {
	connection := openFor(t, "")
	control(t, "behavior", map[string]any{"json": map[string]any{"status": 400, "body": map[string]string{
		"error": "invalid_grant", "error_description": "no such user"}}})
	_, err := connection.Token(context.Background())
	failure := failure(t, err)
	if failure.Status != StatusDenied || failure.OAuthError != "invalid_grant" || failure.OAuthDescription != "no such user" ||
		failure.HTTPStatus != 400 || failure.Retryable {
		t.Fatalf("%+v", failure)
	}
}

func TestConsentErrorHasURL(t *testing.T) {
	connection := openFor(t, "RedirectURI=http://localhost:3000;AuthURI="+serverURL+"/oauth/auth")
	control(t, "require-consent", map[string]string{"sub": t.Name()})
	_, err := connection.Token(context.Background())
	if failure := failure(t, err); failure.Status != StatusConsentRequired || !strings.HasPrefix(failure.ConsentURL, serverURL) {
		t.Fatalf("%+v", failure)
	}
	if url, err := connection.ConsentURL(); err != nil || !strings.HasPrefix(url, serverURL) {
		t.Fatal(url, err)
	}
}

func TestClosedConnectionFailsCalls(t *testing.T) {
	connection := openFor(t, "")
	token := mustToken(t, connection)
	for range 2 {
		if err := connection.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := connection.Token(context.Background()); err != ErrClosed {
		t.Fatal(err)
	}
	if err := connection.SetOption("Scope", "a"); err != ErrClosed {
		t.Fatal(err)
	}
	if _, ok := token.Field("expires_in"); token.Value() == "" || !ok {
		t.Fatal("a token outlives its connection")
	}
}

func TestCloseCancelsCallsInProgress(t *testing.T) {
	connection := openFor(t, "")
	before := requestCount(t)
	control(t, "behavior", "never_answer")
	result := make(chan error)
	go func() {
		_, err := connection.Token(context.Background())
		result <- err
	}()
	waitForRequests(t, before+1)
	connection.Close()
	if err := <-result; !errors.Is(err, StatusCancelled) {
		t.Fatal(err)
	}
}

func TestUnreachableConnectionIsClosed(t *testing.T) {
	connection, err := Open(connectionString(t.Name()))
	if err != nil {
		t.Fatal(err)
	}
	mustToken(t, connection)
	core := connection.core
	connection = nil
	for range 1000 {
		if core.released.Load() {
			return
		}
		runtime.GC()
		runtime.Gosched()
	}
	t.Fatal("the connection is still open")
}

func TestWrongPasswordNamesStore(t *testing.T) {
	connection := openFor(t, "")
	if err := connection.SetOption("JWTCertPassword", "another"); err != nil {
		t.Fatal(err)
	}
	_, err := connection.Token(context.Background())
	if failure := failure(t, err); failure.Status != StatusKeyPassword || failure.SQLState != "28000" || !strings.Contains(failure.Message, keyStore) {
		t.Fatal(failure)
	}
}

func TestReportsAreJSON(t *testing.T) {
	connection := openFor(t, "")
	reports := map[string]func() (json.RawMessage, error){
		"valid":                          connection.Validate,
		"problems":                       func() (json.RawMessage, error) { return ValidateString("A={") },
		"request":                        connection.Explain,
		"ok":                             connection.Test,
		"authgrant_tokens_fetched_total": Stats,
	}
	for member, report := range reports {
		text, err := report()
		var members map[string]any
		if err != nil || json.Unmarshal(text, &members) != nil || members[member] == nil {
			t.Errorf("no %s in %s (%v)", member, text, err)
		}
	}
	var table []map[string]any
	if err := json.Unmarshal(OptionTable(), &table); err != nil || len(table) < 50 {
		t.Error(len(table), err)
	}
}

func TestCompletedStringHasSecretsOnRequest(t *testing.T) {
	connection := openFor(t, "")
	token := mustToken(t, connection)
	for include, secrets := range map[Include][]string{0: nil, WithSecrets: {"JWTCertPassword=secret"}, WithTokens: {token.Value()}} {
		text, err := connection.CompletedString(include)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"JWTCertPassword=secret", token.Value()} {
			if wanted := len(secrets) > 0 && secrets[0] == secret; strings.Contains(text, secret) != wanted {
				t.Errorf("%d: %v in %q", include, wanted, text)
			}
		}
	}
}

// The policy is frozen after the first Open: it may be tightened only.
func TestPolicyCannotBeLoosenedAfterOpen(t *testing.T) {
	openFor(t, "")
	if err := SetPolicy(AllowSecretReferences, 0); !errors.Is(err, StatusInvalidArgument) {
		t.Fatal(err)
	}
	if err := SetPolicy(0, ForbidHTTPGet); err != nil {
		t.Fatal(err)
	}
	if err := AllowDirectory(os.TempDir()); err == nil {
		t.Fatal("a directory cannot be allowed after the first Open")
	}
}

func TestVersionAndStatusNames(t *testing.T) {
	if StatusDenied.String() != "AUTHGRANT_DENIED" || StatusDenied.Error() != StatusDenied.String() {
		t.Fatal(StatusDenied.String())
	}
	if strings.Count(Version(), ".") != 2 {
		t.Fatal(Version())
	}
}
