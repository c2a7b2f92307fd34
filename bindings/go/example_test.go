package authgrant_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	authgrant "authgrant.invalid/go"
)

// Opens the connection string of a user and sends the token to the API.
func Example() {
	connection, err := authgrant.Open(os.Getenv("AUTHGRANT_CONNECTION_STRING"))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()

	client := &http.Client{Transport: &authgrant.Transport{Connection: connection}}
	response, err := client.Get(os.Getenv("AUTHGRANT_API"))
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(response.Status)
	fmt.Println(string(body))
	// Output:
	// 200 OK
	// {"iss":"1a2b3c4d5e_6f7g8h9g","scope":"signature impersonation","sub":"example"}
}

func ExampleConnection_Token() {
	connection, err := authgrant.Open(os.Getenv("AUTHGRANT_CONNECTION_STRING"))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	token, err := connection.Token(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Type(), token) // the text of the token is in Value
	// Output: Bearer authgrant.Token(****)
}

func ExampleOpenOptions() {
	connection, err := authgrant.OpenOptions(map[string]string{
		"AuthenticationMethod": "53",
		"ClientID":             "app",
		"ClientSecret":         "a;b",
		"TokenURI":             "https://login.example.com/token",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	text, err := connection.CompletedString(authgrant.WithSecrets)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(text)
	// Output: AuthenticationMethod=53;TokenURI=https://login.example.com/token;ClientID=app;ClientSecret={a;b};
}

func ExampleError() {
	connection, err := authgrant.Open("AuthenticationMethod=53;TokenURI=https://login.example.com/token;LoginTimeout=soon")
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()

	_, err = connection.Token(context.Background())
	var failure *authgrant.Error
	switch {
	case errors.Is(err, authgrant.StatusConsentRequired) && errors.As(err, &failure):
		fmt.Println("open", failure.ConsentURL)
	case errors.As(err, &failure):
		fmt.Println(failure.Status, failure.SQLState)
		for next := failure; next != nil; next = next.Next {
			fmt.Println(next.Option)
		}
	}
	// Output:
	// AUTHGRANT_INVALID_OPTION HY024
	// LoginTimeout
	// ClientID
	// ClientSecret
}
