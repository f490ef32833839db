import AVFoundation
import SwiftUI

/// What the screen shows.
@MainActor
final class Viewer: ObservableObject {
    enum Mode {
        case camera, photo
    }

    @Published var mode = Mode.camera
    @Published private(set) var answer: Answer?
    /// The photo that is answered; none while the camera runs.
    @Published private(set) var photo: CGImage?
    @Published private(set) var problem: String?
    @Published private(set) var isAllowed = true
    @Published private(set) var position = AVCaptureDevice.Position.back
    @Published private(set) var checks: [CheckResult] = []
    @Published private(set) var checkProblem: String?
    @Published private(set) var isChecking = false

    let recogniser: Recogniser
    private(set) lazy var camera = Camera { [weak self] pixels in
        await self?.answerFrame(pixels)
    }

    init(recogniser: Recogniser) {
        self.recogniser = recogniser
    }

    var description: Description { recogniser.description }

    func startCamera() async {
        mode = .camera
        photo = nil
        answer = nil
        problem = nil
        isAllowed = await Camera.isAllowed()
        if isAllowed {
            camera.start(position: position)
        }
    }

    func stopCamera() {
        camera.stop()
    }

    func turnCamera() {
        position = position == .back ? .front : .back
        camera.start(position: position)
    }

    private func answerFrame(_ pixels: Pixels) async {
        let said = await answered(pixels)
        // The frame of a camera that was left meanwhile is of no interest.
        if mode == .camera {
            show(said)
        }
    }

    func answerPhoto(_ data: Data) async {
        mode = .photo
        camera.stop()
        answer = nil
        do {
            let pixels = try await Task.detached { try PictureDecoder.decode(data) }.value
            photo = PictureDecoder.image(of: pixels)
            show(await answered(pixels))
        } catch {
            photo = nil
            show(.failure(error))
        }
    }

    private func answered(_ pixels: Pixels) async -> Result<Answer, Error> {
        do {
            return .success(try await recogniser.answer(pixels))
        } catch {
            return .failure(error)
        }
    }

    private func show(_ said: Result<Answer, Error>) {
        switch said {
        case .success(let given):
            answer = given
            problem = nil
        case .failure(let error):
            answer = nil
            problem = error.localizedDescription
        }
    }

    /// Check the model on this device, once for each model unless asked again.
    func check(again: Bool = false) async {
        let key = "checked-\(description.version)"
        if isChecking || (!again && UserDefaults.standard.bool(forKey: key)) {
            return
        }
        isChecking = true
        defer { isChecking = false }
        checks = []
        checkProblem = nil
        guard let url = Bundle.main.url(forResource: "check", withExtension: "json") else {
            checkProblem = "This app was exported without pictures to check it on."
            return
        }
        do {
            let list = try SelfCheck.read(try Data(contentsOf: url))
            for expected in list.pictures {
                checks.append(try await recogniser.check(expected, tolerance: list.tolerance))
            }
            UserDefaults.standard.set(checks.allSatisfy(\.hasPassed), forKey: key)
        } catch {
            checkProblem = error.localizedDescription
        }
    }
}
