// SPDX-License-Identifier: MPL-2.0

// Package models stands for names of the HashiCorp Cloud Platform.
package models

// HashicorpCloudLocationLink names a resource.
type HashicorpCloudLocationLink struct {
	ID       string
	Location *HashicorpCloudLocationLocation
}

// HashicorpCloudLocationLocation is where a resource is.
type HashicorpCloudLocationLocation struct{ OrganizationID, ProjectID string }
