import AVFoundation
import SwiftUI

/// The camera. One frame at a time is answered; those that come meanwhile are dropped.
final class Camera: NSObject, AVCaptureVideoDataOutputSampleBufferDelegate, @unchecked Sendable {
    let session = AVCaptureSession()
    /// Everything below is touched on this queue only.
    private let queue = DispatchQueue(label: "camera")
    private let output = AVCaptureVideoDataOutput()
    private let answer: @Sendable (Pixels) async -> Void
    private var isAnswering = false

    /// Width of a frame over its height; portrait, as the application is.
    static let aspect = 720.0 / 1280.0
    private static let upright = 90.0

    init(answer: @escaping @Sendable (Pixels) async -> Void) {
        self.answer = answer
        super.init()
    }

    /// Whether the camera may be used; asks where nobody was asked yet.
    static func isAllowed() async -> Bool {
        switch AVCaptureDevice.authorizationStatus(for: .video) {
        case .authorized: return true
        case .notDetermined: return await AVCaptureDevice.requestAccess(for: .video)
        default: return false
        }
    }

    func start(position: AVCaptureDevice.Position) {
        queue.async { [self] in
            configure(position)
            if !session.inputs.isEmpty && !session.isRunning {
                session.startRunning()
            }
        }
    }

    func stop() {
        queue.async { [self] in
            if session.isRunning {
                session.stopRunning()
            }
        }
    }

    private func configure(_ position: AVCaptureDevice.Position) {
        session.beginConfiguration()
        defer { session.commitConfiguration() }
        for input in session.inputs {
            session.removeInput(input)
        }
        session.sessionPreset = .hd1280x720
        let device = AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: position)
        guard let device, let input = try? AVCaptureDeviceInput(device: device),
            session.canAddInput(input)
        else {
            return
        }
        session.addInput(input)
        if session.outputs.isEmpty && session.canAddOutput(output) {
            output.alwaysDiscardsLateVideoFrames = true
            output.videoSettings = [
                kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_32BGRA
            ]
            output.setSampleBufferDelegate(self, queue: queue)
            session.addOutput(output)
        }
        if let connection = output.connection(with: .video) {
            if connection.isVideoRotationAngleSupported(Self.upright) {
                connection.videoRotationAngle = Self.upright
            }
            // What is answered is never mirrored: text would be.
            connection.automaticallyAdjustsVideoMirroring = false
            connection.isVideoMirrored = false
        }
    }

    func captureOutput(
        _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer,
        from connection: AVCaptureConnection
    ) {
        guard !isAnswering, let buffer = CMSampleBufferGetImageBuffer(sampleBuffer),
            let pixels = PictureDecoder.pixels(of: buffer)
        else {
            return
        }
        isAnswering = true
        Task {
            await answer(pixels)
            queue.async { self.isAnswering = false }
        }
    }
}

/// What the camera sees.
struct CameraPreview: UIViewRepresentable {
    let session: AVCaptureSession

    final class PreviewView: UIView {
        override class var layerClass: AnyClass { AVCaptureVideoPreviewLayer.self }
    }

    func makeUIView(context: Context) -> PreviewView {
        let view = PreviewView()
        if let layer = view.layer as? AVCaptureVideoPreviewLayer {
            layer.session = session
            layer.videoGravity = .resizeAspect
        }
        return view
    }

    func updateUIView(_ view: PreviewView, context: Context) {}
}
