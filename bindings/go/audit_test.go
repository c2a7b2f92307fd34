package authgrant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// auditLog collects events.
type auditLog struct {
	mutex  sync.Mutex
	events []map[string]any
}

func (l *auditLog) add(event json.RawMessage) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	members := map[string]any{}
	if err := json.Unmarshal(event, &members); err != nil {
		panic(err)
	}
	l.events = append(l.events, members)
}

// setAudit sets a function until the end of the test.
func setAudit(t *testing.T, function func(json.RawMessage)) {
	t.Helper()
	if err := SetAudit(function); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := SetAudit(nil); err != nil {
			t.Error(err)
		}
	})
}

func TestAuditFunctionReceivesEvents(t *testing.T) {
	var log auditLog
	setAudit(t, log.add)
	connection := openFor(t, "")
	token := mustToken(t, connection)
	mustToken(t, connection)
	if err := connection.Reject(token); err != nil {
		t.Fatal(err)
	}
	if len(log.events) != 2 || log.events[0]["event"] != "token_request" || log.events[0]["status"] != "AUTHGRANT_OK" ||
		log.events[1]["event"] != "rejection" || log.events[1]["cache_key"] != log.events[0]["cache_key"] {
		t.Error(log.events)
	}
}

func TestSecondAuditFunctionIsRefusedUntilRemoval(t *testing.T) {
	var first, second auditLog
	setAudit(t, first.add)
	if err := SetAudit(second.add); failure(t, err).SQLState != "HY010" {
		t.Error(err)
	}
	if err := SetAudit(nil); err != nil {
		t.Fatal(err)
	}
	setAudit(t, second.add)
	mustToken(t, openFor(t, ""))
	if len(first.events) != 0 || len(second.events) != 1 {
		t.Error(first.events, second.events)
	}
}

func TestPanicInAuditFunctionIsLogged(t *testing.T) {
	var output bytes.Buffer
	previous := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&output, nil)))
	defer slog.SetDefault(previous)
	setAudit(t, func(json.RawMessage) { panic("full") })
	mustToken(t, openFor(t, ""))
	if text := output.String(); !strings.Contains(text, "full") || !strings.Contains(text, "token_request") {
		t.Error(text)
	}
}

func TestCallsInsideAuditFunctionAreRefused(t *testing.T) {
	var refusals []string
	setAudit(t, func(json.RawMessage) {
		var refusal *Error
		if errors.As(SetAudit(nil), &refusal) {
			refusals = append(refusals, refusal.SQLState)
		}
	})
	mustToken(t, openFor(t, ""))
	if len(refusals) != 1 || refusals[0] != "HY010" {
		t.Error(refusals)
	}
}

func TestAuditRemovalWaitsForCall(t *testing.T) {
	entered, permitted := make(chan struct{}), make(chan struct{})
	var mutex sync.Mutex
	var order []string
	record := func(what string) {
		mutex.Lock()
		defer mutex.Unlock()
		order = append(order, what)
	}
	setAudit(t, func(json.RawMessage) {
		close(entered)
		<-permitted
		record("call")
	})
	connection := openFor(t, "")
	called, removed := make(chan error), make(chan error)
	go func() {
		_, err := connection.Token(context.Background())
		called <- err
	}()
	<-entered
	go func() {
		err := SetAudit(nil)
		record("removal")
		removed <- err
	}()
	// The removal has begun when another function can be set.
	for SetAudit(func(json.RawMessage) {}) != nil {
	}
	close(permitted)
	if err := errors.Join(<-removed, <-called); err != nil || len(order) != 2 || order[0] != "call" {
		t.Error(err, order)
	}
}
