package authgrant

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// storeProgram is the environment variable with the name of the program that TestMain runs instead of the tests: a token store is
// set before the first connection of a process is opened.
const storeProgram = "AUTHGRANT_GO_STORE_PROGRAM"

var storePrograms = map[string]func() error{
	"once":  setStoreTwice,
	"share": shareToken,
	"fail":  func() error { return useFailingStore(failingStore{newMemoryStore()}) },
	"panic": func() error { return useFailingStore(panickingStore{newMemoryStore()}) },
}

// runStoreProgram runs a program in a process of its own, and returns what it prints.
func runStoreProgram(t *testing.T, name string) string {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), storeProgram+"="+name, "AUTHGRANT_CONNECTION_STRING="+connectionString(t.Name()))
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return string(output)
}

type storedEntry struct {
	generation uint64
	value      []byte
	end        time.Time
}

// memoryStore is a store in memory.
type memoryStore struct {
	mutex   sync.Mutex
	entries map[string]storedEntry
	leases  map[string][16]byte
	calls   []string
}

func newMemoryStore() *memoryStore {
	return &memoryStore{entries: map[string]storedEntry{}, leases: map[string][16]byte{}}
}

func (s *memoryStore) begin(call string) func() {
	s.mutex.Lock()
	s.calls = append(s.calls, call)
	return s.mutex.Unlock
}

func (s *memoryStore) Get(name string) ([]byte, time.Duration, error) {
	defer s.begin("get")()
	entry := s.entries[name]
	return entry.value, time.Until(entry.end), nil
}

func (s *memoryStore) Lease(name string, owner [16]byte, ttl time.Duration) (bool, error) {
	defer s.begin("lease")()
	if ttl <= 0 || ttl > 15*time.Second {
		return false, fmt.Errorf("lease of %v", ttl)
	}
	holder, held := s.leases[name]
	if !held {
		s.leases[name] = owner
	}
	return !held || holder == owner, nil
}

func (s *memoryStore) Put(name string, owner [16]byte, expectedGeneration, generation uint64, value []byte, ttl time.Duration) (bool, error) {
	defer s.begin("put")()
	if s.leases[name] != owner || s.entries[name].generation != expectedGeneration || ttl <= 0 {
		return false, nil
	}
	s.entries[name] = storedEntry{generation, bytes.Clone(value), time.Now().Add(ttl)}
	return true, nil
}

func (s *memoryStore) Release(name string, owner [16]byte) error {
	defer s.begin("release")()
	if s.leases[name] == owner {
		delete(s.leases, name)
	}
	return nil
}

func setStoreTwice() error {
	if err := SetTokenStore(newMemoryStore()); err != nil {
		return err
	}
	var failure *Error
	if err := SetTokenStore(newMemoryStore()); !errors.As(err, &failure) {
		return fmt.Errorf("the second store: %v", err)
	}
	fmt.Print(failure.SQLState)
	return nil
}

func TestTokenStoreIsSetOnce(t *testing.T) {
	if output := runStoreProgram(t, "once"); output != "HY010" {
		t.Error(output)
	}
}

func TestTokenStoreAfterOpenIsRejected(t *testing.T) {
	openFor(t, "")
	if err := SetTokenStore(newMemoryStore()); failure(t, err).SQLState != "HY010" {
		t.Error(err)
	}
	if err := SetTokenStore(nil); failure(t, err).SQLState != "HY009" {
		t.Error(err)
	}
}

// tokenOfStore opens a connection of a program with TokenCache, and returns its token.
func tokenOfStore() (string, error) {
	connection, err := Open(os.Getenv("AUTHGRANT_CONNECTION_STRING"))
	if err != nil {
		return "", err
	}
	defer connection.Close()
	if err := connection.SetOption("TokenCache", "application:"); err != nil {
		return "", err
	}
	token, err := connection.Token(context.Background())
	if err != nil {
		return "", err
	}
	return token.Value(), nil
}

// shareToken gets the token of two connections, between which the process forgets it.
func shareToken() error {
	store := newMemoryStore()
	if err := SetTokenStore(store); err != nil {
		return err
	}
	first, err := tokenOfStore()
	if err != nil {
		return err
	}
	ClearCaches()
	second, err := tokenOfStore()
	if err != nil {
		return err
	}
	for _, entry := range store.entries {
		fmt.Println(first == second, entry.generation > 0, bytes.Contains(entry.value, []byte(first)), len(store.leases))
	}
	fmt.Println(strings.Join(store.calls[:4], " "))
	return nil
}

func TestConnectionsShareTokenThroughStore(t *testing.T) {
	before := requestCount(t)
	if output := runStoreProgram(t, "share"); output != "true true false 0\nget lease get put\n" {
		t.Error(output)
	}
	if count := requestCount(t) - before; count != 1 {
		t.Errorf("%d token requests", count)
	}
}

type failingStore struct{ *memoryStore }

func (failingStore) Get(string) ([]byte, time.Duration, error) {
	return nil, 0, errors.New("the database is closed")
}

type panickingStore struct{ *memoryStore }

func (panickingStore) Get(string) ([]byte, time.Duration, error) { panic("the database is gone") }

// useFailingStore prints what is logged while a token is requested without the store.
func useFailingStore(store TokenStore) error {
	var log bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	if err := SetTokenStore(store); err != nil {
		return err
	}
	if _, err := tokenOfStore(); err != nil {
		return err
	}
	fmt.Print(log.String())
	return nil
}

func TestErrorOrPanicOfStoreCostsNoToken(t *testing.T) {
	for program, text := range map[string]string{"fail": "the database is closed", "panic": "the database is gone"} {
		output := runStoreProgram(t, program)
		if strings.Count(output, text) != 1 || !strings.Contains(output, "level=WARN") || !strings.Contains(output, "method=Get") {
			t.Error(output)
		}
	}
}
