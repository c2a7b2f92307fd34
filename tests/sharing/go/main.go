// One process of a fleet in Go: the commands policy, open, set, get, clear, warnings and close of worker.c.
package main

// #include <time.h>
import "C"

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	authgrant "authgrant.invalid/go"
)

var connections []*authgrant.Connection

var flatten = strings.NewReplacer("\t", " ", "\n", " ")

// now returns nanoseconds of CLOCK_MONOTONIC.
func now() int64 {
	var now C.struct_timespec
	C.clock_gettime(C.CLOCK_MONOTONIC, &now)
	return int64(now.tv_sec)*1e9 + int64(now.tv_nsec)
}

func status(err error) []string {
	if err == nil {
		return []string{"OK"}
	}
	var failure *authgrant.Error
	if errors.As(err, &failure) {
		return []string{strings.TrimPrefix(failure.Status.String(), "AUTHGRANT_"), failure.SQLState, flatten.Replace(err.Error())}
	}
	return []string{"error", "", flatten.Replace(err.Error())}
}

func get(timeout time.Duration) []string {
	ctx := context.Background()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	var mutex sync.Mutex
	var group sync.WaitGroup
	var tokens []string
	var failure error
	var expires int64
	started := now()
	for _, connection := range connections {
		group.Add(1)
		go func() {
			defer group.Done()
			token, err := connection.Token(ctx)
			mutex.Lock()
			defer mutex.Unlock()
			if err != nil {
				failure = err
				return
			}
			expires = token.ExpiresAt().Unix()
			if !slices.Contains(tokens, token.Value()) {
				tokens = append(tokens, token.Value())
			}
		}()
	}
	group.Wait()
	fields := append(status(failure), "", "")
	times := []string{strconv.FormatInt(expires, 10), strconv.FormatInt(started, 10), strconv.FormatInt(now(), 10)}
	return slices.Concat([]string{fields[0], fields[1], strings.Join(tokens, ",")}, times, []string{fields[2]})
}

func run(command, arguments string) []string {
	first, rest, _ := strings.Cut(arguments, " ")
	number, _ := strconv.Atoi(first)
	var err error
	switch command {
	case "policy":
		err = authgrant.SetPolicy(authgrant.Allow(number), 0)
	case "open":
		for range number {
			var connection *authgrant.Connection
			if connection, err = authgrant.Open(rest); err != nil {
				break
			}
			connections = append(connections, connection)
		}
	case "set":
		for _, connection := range connections {
			err = errors.Join(err, connection.SetOption(first, rest))
		}
	case "get":
		return get(time.Duration(number) * time.Millisecond)
	case "clear":
		authgrant.ClearCaches()
	case "warnings":
		answer := []string{"OK"}
		for _, connection := range connections {
			warnings, err := connection.Warnings()
			if err != nil {
				return status(err)
			}
			for _, warning := range warnings {
				answer = append(answer, flatten.Replace(warning.Error()))
			}
		}
		return answer
	case "close":
		for _, connection := range connections {
			err = errors.Join(err, connection.Close())
		}
		connections = nil
	default:
		err = fmt.Errorf("unknown command %s", command)
	}
	return status(err)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		command, arguments, _ := strings.Cut(lines.Text(), " ")
		fmt.Println(strings.Join(run(command, arguments), "\t"))
	}
}
