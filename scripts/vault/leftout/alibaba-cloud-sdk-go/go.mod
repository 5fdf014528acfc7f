// SPDX-License-Identifier: MPL-2.0

module github.com/aliyun/alibaba-cloud-sdk-go

go 1.25.0
