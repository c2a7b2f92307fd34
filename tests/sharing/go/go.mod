module worker

go 1.24.0

require authgrant.invalid/go v0.0.0

require golang.org/x/oauth2 v0.31.0 // indirect

replace authgrant.invalid/go => ../../../bindings/go
