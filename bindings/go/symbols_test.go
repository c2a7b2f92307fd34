package authgrant

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryFunctionOfHeaderIsCalled compares the functions of authgrant.h with those that the package calls.
func TestEveryFunctionOfHeaderIsCalled(t *testing.T) {
	header, err := os.ReadFile("../../include/authgrant.h")
	if err != nil {
		t.Fatal(err)
	}
	comments := regexp.MustCompile(`(?s)/\*.*?\*/`)
	var declared []string
	for _, match := range regexp.MustCompile(`\b(authgrant_[a-z0-9_]+)\(`).FindAllStringSubmatch(comments.ReplaceAllString(string(header), ""), -1) {
		declared = append(declared, match[1])
	}
	if len(declared) < 50 {
		t.Fatal(declared)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(file, "_test.go") {
			source.Write(text)
		}
	}
	for _, name := range declared {
		if name == "authgrant_cancel_token_reset" {
			continue // each call has a cancel token of its own
		}
		if !regexp.MustCompile(`\b` + name + `\(`).MatchString(source.String()) {
			t.Errorf("%s is not called", name)
		}
	}
	for _, match := range regexp.MustCompile(`#define (AUTHGRANT_[A-Z0-9_]+) [0-9]`).FindAllStringSubmatch(string(header), -1) {
		if name := match[1]; name != "AUTHGRANT_VERSION_NUMBER" && !regexp.MustCompile(`C\.`+name+`\b`).MatchString(source.String()) {
			t.Errorf("%s has no constant", name)
		}
	}
}
