module authgrant/ffi

go 1.20
