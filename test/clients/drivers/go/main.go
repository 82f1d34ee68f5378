// Performs the operations of the checks with aws-sdk-go-v2 and its transfer manager: one request and one reply per line, as
// JSON.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	tmtypes "github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const (
	account  = "111122223333"
	secret   = "any"
	partSize = 5 * 1024 * 1024
)

type settings struct {
	Endpoint string `json:"endpoint"`
	Region   string `json:"region"`
	Proxy    string `json:"proxy"`
}

type arguments struct {
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	File      string `json:"file"`
	Start     int64  `json:"start"`
	End       int64  `json:"end"`
	KeyID     string `json:"keyId"`
	ToBucket  string `json:"toBucket"`
	ToKey     string `json:"toKey"`
	Prefix    string `json:"prefix"`
	VersionID string `json:"versionId"`
}

type request struct {
	Operation string    `json:"operation"`
	Settings  settings  `json:"settings"`
	Args      arguments `json:"args"`
}

type listedVersion struct {
	Key            string `json:"key"`
	VersionID      string `json:"versionId"`
	IsLatest       bool   `json:"isLatest"`
	IsDeleteMarker bool   `json:"isDeleteMarker"`
}

type client struct {
	*s3.Client
	region   string
	transfer *transfermanager.Client
	presign  *s3.PresignClient
}

func connect(ctx context.Context, s settings) (*client, error) {
	options := []func(*config.LoadOptions) error{
		config.WithRegion(s.Region),
		config.WithBaseEndpoint(s.Endpoint),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(account, secret, "")),
	}
	if s.Proxy != "" {
		proxy, err := url.Parse(s.Proxy)
		if err != nil {
			return nil, err
		}
		options = append(options, config.WithHTTPClient(&http.Client{
			Transport: &http.Transport{Proxy: http.ProxyURL(proxy)},
		}))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, err
	}
	sdk := s3.NewFromConfig(loaded)
	transfer := transfermanager.New(sdk, func(o *transfermanager.Options) {
		o.PartSizeBytes = partSize
		o.MultipartUploadThreshold = partSize
	})
	return &client{sdk, s.Region, transfer, s3.NewPresignClient(sdk)}, nil
}

type operation func(context.Context, *client, arguments) (any, error)

var operations = map[string]operation{
	"createBucket": func(ctx context.Context, c *client, a arguments) (any, error) {
		input := &s3.CreateBucketInput{Bucket: &a.Bucket}
		if c.region != "us-east-1" {
			input.CreateBucketConfiguration = &types.CreateBucketConfiguration{
				LocationConstraint: types.BucketLocationConstraint(c.region),
			}
		}
		_, err := c.CreateBucket(ctx, input)
		return nil, err
	},
	"regionOf": func(ctx context.Context, c *client, a arguments) (any, error) {
		response, err := c.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: &a.Bucket})
		if err != nil {
			return nil, err
		}
		location := string(response.LocationConstraint)
		if location == "" {
			location = "us-east-1"
		}
		// Sends HeadBucket without credentials.
		head, err := manager.GetBucketRegion(ctx, c, a.Bucket)
		if err == nil && head != location {
			err = fmt.Errorf("GetBucketLocation returned %s, HeadBucket %s", location, head)
		}
		return location, err
	},
	"put": func(ctx context.Context, c *client, a arguments) (any, error) {
		return nil, c.upload(ctx, a, &transfermanager.UploadObjectInput{})
	},
	"putMultipart": func(ctx context.Context, c *client, a arguments) (any, error) {
		return nil, c.upload(ctx, a, &transfermanager.UploadObjectInput{
			ServerSideEncryption: tmtypes.ServerSideEncryptionAwsKms,
			SSEKMSKeyID:          &a.KeyID,
		})
	},
	"get": func(ctx context.Context, c *client, a arguments) (any, error) {
		parts, err := c.download(ctx, a, tmtypes.GetObjectParts)
		if err != nil {
			return nil, fmt.Errorf("download by part number: %w", err)
		}
		ranges, err := c.download(ctx, a, tmtypes.GetObjectRanges)
		if err != nil {
			return nil, fmt.Errorf("download by range: %w", err)
		}
		if !bytes.Equal(parts, ranges) {
			return nil, errors.New("the downloads by part number and by range differ")
		}
		return nil, os.WriteFile(a.File, parts, 0o600)
	},
	"getRange": func(ctx context.Context, c *client, a arguments) (any, error) {
		response, err := c.GetObject(ctx, &s3.GetObjectInput{
			Bucket: &a.Bucket, Key: &a.Key, Range: aws.String(fmt.Sprintf("bytes=%d-%d", a.Start, a.End-1)),
		})
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		file, err := os.Create(a.File)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		_, err = file.ReadFrom(response.Body)
		return nil, err
	},
	"copy": func(ctx context.Context, c *client, a arguments) (any, error) {
		source := a.Bucket + "/" + (&url.URL{Path: a.Key}).EscapedPath()
		_, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &a.ToBucket, Key: &a.ToKey, CopySource: &source})
		return nil, err
	},
	"list": func(ctx context.Context, c *client, a arguments) (any, error) {
		keys := []string{}
		pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: &a.Bucket, Prefix: &a.Prefix})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			for _, entry := range page.Contents {
				keys = append(keys, *entry.Key)
			}
		}
		return keys, nil
	},
	"listVersions": func(ctx context.Context, c *client, a arguments) (any, error) {
		entries := []listedVersion{}
		pages := s3.NewListObjectVersionsPaginator(c, &s3.ListObjectVersionsInput{
			Bucket: &a.Bucket, Prefix: &a.Prefix,
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			for _, v := range page.Versions {
				entries = append(entries, listedVersion{*v.Key, *v.VersionId, *v.IsLatest, false})
			}
			for _, v := range page.DeleteMarkers {
				entries = append(entries, listedVersion{*v.Key, *v.VersionId, *v.IsLatest, true})
			}
		}
		return entries, nil
	},
	"delete": func(ctx context.Context, c *client, a arguments) (any, error) {
		_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &a.Bucket, Key: &a.Key})
		return nil, err
	},
	"deleteVersion": func(ctx context.Context, c *client, a arguments) (any, error) {
		_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{
			Bucket: &a.Bucket, Key: &a.Key, VersionId: &a.VersionID,
		})
		return nil, err
	},
	"presignGet": func(ctx context.Context, c *client, a arguments) (any, error) {
		signed, err := c.presign.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &a.Bucket, Key: &a.Key})
		if err != nil {
			return nil, err
		}
		return signed.URL, nil
	},
	"presignPut": func(ctx context.Context, c *client, a arguments) (any, error) {
		signed, err := c.presign.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: &a.Bucket, Key: &a.Key})
		if err != nil {
			return nil, err
		}
		return signed.URL, nil
	},
}

func (c *client) upload(ctx context.Context, a arguments, input *transfermanager.UploadObjectInput) error {
	file, err := os.Open(a.File)
	if err != nil {
		return err
	}
	defer file.Close()
	input.Bucket, input.Key, input.Body = &a.Bucket, &a.Key, file
	_, err = c.transfer.UploadObject(ctx, input)
	return err
}

func (c *client) download(ctx context.Context, a arguments, kind tmtypes.GetObjectType) ([]byte, error) {
	target := manager.NewWriteAtBuffer(nil)
	_, err := c.transfer.DownloadObject(ctx, &transfermanager.DownloadObjectInput{
		Bucket: &a.Bucket, Key: &a.Key, WriterAt: target,
	}, func(o *transfermanager.Options) { o.GetObjectType = kind })
	return target.Bytes(), err
}

func main() {
	ctx := context.Background()
	clients := map[settings]*client{}
	perform := func(line []byte) (any, error) {
		var r request
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, err
		}
		if clients[r.Settings] == nil {
			connected, err := connect(ctx, r.Settings)
			if err != nil {
				return nil, err
			}
			clients[r.Settings] = connected
		}
		run := operations[r.Operation]
		if run == nil {
			return nil, fmt.Errorf("unknown operation %q", r.Operation)
		}
		return run(ctx, clients[r.Settings], r.Args)
	}
	lines := bufio.NewScanner(os.Stdin)
	replies := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		result, err := perform(lines.Bytes())
		reply := map[string]any{"result": result}
		if err != nil {
			reply = map[string]any{"error": err.Error()}
		}
		if err := replies.Encode(reply); err != nil {
			return
		}
	}
}
