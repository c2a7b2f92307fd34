package authgrant

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

func TestTokenIsReadFromCache(t *testing.T) {
	connection := openFor(t, "")
	token := mustToken(t, connection)
	if token.Value() == "" || token.Type() != "Bearer" || !token.ExpiresAt().After(time.Now()) || !token.RefreshAt().Before(token.ExpiresAt()) {
		t.Fatalf("%d characters, type %s, expires at %v, refreshed at %v", len(token.Value()), token.Type(), token.ExpiresAt(), token.RefreshAt())
	}
	if mustToken(t, connection) != token {
		t.Fatal("a cached read must return the same object")
	}
	if token, err := connection.TokenWith(context.Background(), CallOptions{NoNetwork: true, MinValidity: time.Second}); err != nil || token.Value() == "" {
		t.Fatal(err)
	}
	allocations := testing.AllocsPerRun(100, func() { mustToken(t, connection) })
	if allocations != 0 {
		t.Fatalf("a cached read allocates %v objects", allocations)
	}
}

func TestNoNetworkReturnsNotCached(t *testing.T) {
	connection := openFor(t, "")
	if _, err := connection.TokenWith(context.Background(), CallOptions{NoNetwork: true}); !errors.Is(err, StatusNotCached) {
		t.Fatal(err)
	}
}

func TestFieldReturnsMemberOfResponse(t *testing.T) {
	connection := openFor(t, "")
	control(t, "behavior", map[string]string{"token_answer": `{"access_token":"at","token_type":"Bearer","expires_in":3600,"instance_url":"https://a","scope":"x"}`})
	token := mustToken(t, connection)
	if url, ok := token.Field("instance_url"); !ok || url != "https://a" || token.Scope() != "x" {
		t.Fatal(url, ok, token.Scope())
	}
	if _, ok := token.Field("refresh_token"); ok {
		t.Fatal("the refresh token is no field")
	}
	if _, ok := token.Field("a\x00"); ok {
		t.Fatal("a name with NUL is no field")
	}
}

func TestFormattedTokenIsRedacted(t *testing.T) {
	token := mustToken(t, openFor(t, ""))
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "token", token)
	for _, text := range []string{fmt.Sprint(token), fmt.Sprintf("%v %+v %#v %s %q %x", token, token, token, token, token, token), log.String()} {
		if strings.Contains(text, token.Value()) || !strings.Contains(text, "****") {
			t.Error(text)
		}
	}
}

func TestRejectedTokenIsReplaced(t *testing.T) {
	connection := openFor(t, "")
	first := mustToken(t, connection)
	if err := connection.Reject(first); err != nil {
		t.Fatal(err)
	}
	second := mustToken(t, connection)
	if second.Value() == first.Value() {
		t.Fatal("the rejected token was returned")
	}
	if connection.Reject(first) != nil || mustToken(t, connection) != second {
		t.Fatal("only the cached token can be rejected")
	}
}

func TestChangedOptionChangesCachedToken(t *testing.T) {
	connection := openFor(t, "")
	first := mustToken(t, connection)
	if err := connection.SetOption("Scope", "signature"); err != nil {
		t.Fatal(err)
	}
	second := mustToken(t, connection)
	if second.Value() == first.Value() || second.Scope() != "signature" {
		t.Fatal(second.Scope())
	}
}

func TestClearedCachesAreNoticed(t *testing.T) {
	connection := openFor(t, "")
	first := mustToken(t, connection)
	ClearCaches()
	if mustToken(t, connection).Value() == first.Value() {
		t.Fatal("the cleared token was returned")
	}
}

func TestTokenDueForRenewalIsRenewed(t *testing.T) {
	// The margin is capped at 90 % of the lifetime.
	connection := openFor(t, "RefreshMargin=600")
	answer := func(name string) map[string]string {
		return map[string]string{"token_answer": fmt.Sprintf(`{"access_token":%q,"token_type":"Bearer","expires_in":20}`, name)}
	}
	control(t, "behavior", []any{answer("first"), answer("second")})
	token := mustToken(t, connection)
	if token.Value() != "first" {
		t.Fatal(token.Value())
	}
	time.Sleep(time.Until(token.RefreshAt()))
	// The library reads a coarse clock, which is late by some milliseconds.
	for mustToken(t, connection).Value() != "second" {
		if !time.Now().Before(token.ExpiresAt()) {
			t.Fatal("the token was not renewed early")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestTokenOfUnknownLifetimeIsCached(t *testing.T) {
	connection := openFor(t, "")
	before := requestCount(t)
	control(t, "behavior", map[string]string{"token_answer": `{"access_token":"at","token_type":"Bearer"}`})
	token := mustToken(t, connection)
	if !token.ExpiresAt().IsZero() || !token.RefreshAt().IsZero() || mustToken(t, connection) != token {
		t.Fatal(token.ExpiresAt(), token.RefreshAt())
	}
	if count := requestCount(t) - before; count != 1 {
		t.Fatal(count)
	}
}

func TestAppendTokenGrowsBuffer(t *testing.T) {
	connection := openFor(t, "")
	want := "Bearer " + mustToken(t, connection).Value()
	for _, capacity := range []int{7, 8, 2000} {
		buffer := append(make([]byte, 0, capacity), "Bearer "...)
		if text, err := connection.AppendToken(context.Background(), buffer); err != nil || string(text) != want {
			t.Fatalf("%d: %q, %v", capacity, text, err)
		}
	}
}

func TestGoroutinesShareOneRequest(t *testing.T) {
	connection := openFor(t, "")
	before := requestCount(t)
	var group sync.WaitGroup
	tokens := make([]*Token, 64)
	for i := range tokens {
		group.Add(1)
		go func() {
			defer group.Done()
			for range 200 {
				ctx, cancel := context.WithTimeout(context.Background(), waitTime)
				token, err := connection.Token(ctx)
				cancel()
				if err != nil {
					t.Error(err)
					return
				}
				tokens[i] = token
			}
		}()
	}
	group.Wait()
	for _, token := range tokens {
		if token == nil || token.Value() != tokens[0].Value() {
			t.Fatal("the goroutines got different tokens")
		}
	}
	if count := requestCount(t) - before; count != 1 {
		t.Fatalf("%d requests", count)
	}
}

// Calls, rejections, options and the end of connections on 64 goroutines; for the race detector.
func TestConcurrentUseOfConnections(t *testing.T) {
	var group sync.WaitGroup
	shared := openFor(t, "")
	for i := range 64 {
		group.Add(1)
		go func() {
			defer group.Done()
			own, err := Open(connectionString(fmt.Sprint(t.Name(), i%8)))
			if err != nil {
				t.Error(err)
				return
			}
			for _, connection := range []*Connection{own, shared} {
				ctx, cancel := context.WithCancel(context.Background())
				if i%4 == 0 {
					go cancel()
				}
				token, err := connection.Token(ctx)
				if err == nil && i%8 == 1 {
					err = connection.Reject(token)
				}
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				cancel()
				if _, err := connection.Headers(context.Background()); err != nil {
					t.Error(err)
				}
			}
			go own.Close()
			if _, err := own.Token(context.Background()); err != nil && err != ErrClosed && !errors.Is(err, StatusCancelled) {
				t.Error(err)
			}
		}()
	}
	group.Wait()
}

func TestContextCancelsOwnCallOnly(t *testing.T) {
	connection := openFor(t, "")
	before := requestCount(t)
	control(t, "behavior", []string{"never_answer"})
	ctx, cancel := context.WithCancel(context.Background())
	cancelled := make(chan error)
	go func() {
		_, err := connection.Token(ctx)
		cancelled <- err
	}()
	waitForRequests(t, before+1)
	neighbour := make(chan error)
	go func() {
		_, err := connection.Token(context.Background())
		neighbour <- err
	}()
	cancel()
	err := <-cancelled
	if failure := failure(t, err); failure.Status != StatusCancelled || !errors.Is(err, context.Canceled) || !errors.Is(err, StatusCancelled) {
		t.Fatal(err)
	}
	if err := <-neighbour; err != nil {
		t.Fatal(err)
	}
	if _, err := connection.Token(ctx); err != context.Canceled {
		t.Fatal("a cancelled context fails a cached read, too:", err)
	}
}

func TestDeadlineOfContextLimitsCall(t *testing.T) {
	connection := openFor(t, "")
	// Always, because a request on a connection that was idle is repeated on another one.
	control(t, "behavior", map[string]any{"always": "never_answer"})
	defer control(t, "behavior", map[string]any{"always": nil})
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	_, err := connection.Token(ctx)
	failure := failure(t, err)
	if !errors.Is(err, context.DeadlineExceeded) || failure.Status != StatusTimeout && failure.Status != StatusCancelled {
		t.Fatal(err)
	}
	expired, cancelExpired := context.WithDeadline(context.Background(), time.Unix(1, 0))
	defer cancelExpired()
	if _, err := connection.Token(expired); err != context.DeadlineExceeded {
		t.Fatal(err)
	}
}

func TestCancelEndsCallsWithAndWithoutContext(t *testing.T) {
	connection := openFor(t, "")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, ctx := range []context.Context{context.Background(), ctx} {
		before := requestCount(t)
		control(t, "behavior", []string{"never_answer"})
		result := make(chan error)
		go func() {
			_, err := connection.Token(ctx)
			result <- err
		}()
		waitForRequests(t, before+1)
		if err := connection.Cancel(); err != nil {
			t.Fatal(err)
		}
		if err := <-result; !errors.Is(err, StatusCancelled) || errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}

func TestTokenSourceLimitsReuse(t *testing.T) {
	for _, expiresIn := range []string{``, `,"expires_in":3600`, `,"expires_in":30`} {
		connection := openFor(t, "ClaimsAdditional={\"n\":\""+fmt.Sprint(len(expiresIn), expiresIn != "")+"\"}")
		control(t, "behavior", map[string]string{"token_answer": `{"access_token":"at","token_type":"Bearer"` + expiresIn + `}`})
		source := connection.TokenSource(context.Background())
		var _ oauth2.TokenSource = source
		token, err := source.Token()
		if err != nil || token.AccessToken != "at" || token.Type() != "Bearer" {
			t.Fatal(token, err)
		}
		if left := time.Until(token.Expiry); token.Expiry.IsZero() || left > time.Minute || left < 20*time.Second {
			t.Errorf("%q: %v", expiresIn, left)
		}
		connection.Close()
		if _, err := source.Token(); err != ErrClosed {
			t.Fatal(err)
		}
	}
}

func TestHeadersHaveToken(t *testing.T) {
	connection := openFor(t, "AuthHeader=X-Key;SecurityToken=abc")
	headers, err := connection.Headers(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	connection.Close()
	found := map[string]string{}
	for name, value := range headers.All() {
		found[name] = value
	}
	if headers.Token() == nil || found["Authorization"] != "Bearer "+headers.Token().Value() || found["X-Key"] != "abc" {
		t.Fatal(found)
	}
	for range headers.All() {
		break
	}
}

func TestMethodWithoutTokenHasHeaders(t *testing.T) {
	connection, err := Open("AuthenticationMethod=25;AuthHeader=X-Key;SecurityToken=abc")
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	headers, err := connection.Headers(context.Background())
	if err != nil || headers.Token() != nil || strings.Join(headers.names, "") != "X-Key" {
		t.Fatal(headers, err)
	}
}

func TestRequestHeadersAreThoseOfConnection(t *testing.T) {
	connection := openFor(t, "")
	expected, err := connection.Headers(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	headers, err := connection.RequestHeaders(context.Background(), "GET", "https://api.example/v1")
	if err != nil || !maps.Equal(maps.Collect(headers.All()), maps.Collect(expected.All())) {
		t.Fatal(headers, err)
	}
	if _, err := connection.RequestHeaders(context.Background(), "GET", "/v1"); !errors.Is(err, StatusInvalidArgument) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := connection.RequestHeaders(ctx, "GET", "https://api.example/v1"); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
